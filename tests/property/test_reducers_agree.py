"""The Python and the TypeScript reducer on 2,000 random sequences of commands.

Same documents, same refusals by the same codes, same inverse commands, and the inverses lead back.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from random_commands import sequence
from sitebuild import environment
from tensorloom.errors import TensorloomError
from tensorloom.model import codec
from tensorloom.model.command_codec import command_from_json, command_to_json
from tensorloom.model.commands import apply, apply_all
from tensorloom.model.inverse import invert

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom.model.document import Document

Json = dict[str, Any]

SEQUENCES = 2000


@pytest.fixture(scope="module")
def sequences() -> list[tuple[Json, list[Json]]]:
    return [sequence(seed) for seed in range(SEQUENCES)]


@pytest.fixture(scope="module")
def in_python(sequences: list[tuple[Json, list[Json]]]) -> list[list[Json]]:
    return [list(outcomes(*item)) for item in sequences]


@pytest.fixture(scope="module")
def in_page(
    sequences: list[tuple[Json, list[Json]]],
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[list[Json]]:
    env = environment.ensure(root, quiet=True)
    folder = tmp_path_factory.mktemp("reducers")
    program, source, target = folder / "run.mjs", folder / "in.json", folder / "out.json"
    entry = root / "tests" / "property" / "reducer.run.ts"
    options = ("--bundle", "--format=esm", "--platform=node", "--log-level=warning")
    environment.run([*env.esbuild, entry, f"--outfile={program}", *options], what="Bundling")
    source.write_text(json.dumps(sequences), encoding="utf-8")
    environment.run([env.node, program, source, target], what="The page's reducer")
    found: list[list[Json]] = json.loads(target.read_text(encoding="utf-8"))
    return found


def outcomes(start: Json, commands: list[Json]) -> list[Json]:
    """What the Python reducer makes of each command, as ``reducer.run.ts`` says it."""
    now = codec.from_json(start)
    found: list[Json] = []
    for item in commands:
        try:
            command = command_from_json(item)
            after = apply(now, command)
        except TensorloomError as error:
            found.append({"refused": error.code})
            continue
        back = invert(now, command)
        found.append(
            {
                "document": codec.to_json(after),
                "back": [command_to_json(step) for step in back],
                "restored": _same(apply_all(after, back), now),
            }
        )
        now = after
    return found


def _same(one: Document, other: Document) -> bool:
    """Equal in everything, the order of indices too."""
    return (one, list(one.network.dimension_of)) == (other, list(other.network.dimension_of))


def test_both_reducers_agree(
    sequences: list[tuple[Json, list[Json]]],
    in_python: list[list[Json]],
    in_page: list[list[Json]],
) -> None:
    assert len(in_page) == SEQUENCES
    for seed, (item, ours, theirs) in enumerate(zip(sequences, in_python, in_page, strict=True)):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one == other, f"sequence({seed}), command {number}: {item[1][number]}"


def test_inverses_lead_back(in_python: list[list[Json]]) -> None:
    for seed, found in enumerate(in_python):
        lost = [number for number, outcome in enumerate(found) if not outcome.get("restored", True)]
        assert lost == [], f"sequence({seed})"


def test_sequences_are_of_every_kind(
    sequences: list[tuple[Json, list[Json]]], in_python: list[list[Json]]
) -> None:
    done: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for (_, commands), found in zip(sequences, in_python, strict=True):
        for command, outcome in zip(commands, found, strict=True):
            if "refused" in outcome:
                refused[outcome["refused"]] += 1
            else:
                done[command["kind"]] += 1
    assert len(done) == 14
    assert min(done.values()) > 50
    assert set(refused) == {
        *("bad-dimension", "bad-dtype", "bad-mark", "bad-name", "bad-place", "bad-position"),
        *("bad-title", "dimension-mismatch", "duplicate-output", "duplicate-tensor"),
        *("index-in-use", "loose-output", "same-index", "unknown-command", "unknown-index"),
        "unknown-tensor",
    }
    assert sum(done.values()) > sum(refused.values())
