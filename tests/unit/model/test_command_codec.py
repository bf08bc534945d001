"""Commands as JSON and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tensorloom.errors import DocumentError, NetworkError
from tensorloom.model.command_codec import command_from_json, command_to_json
from tensorloom.model.commands import Move, SetIndices

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "commands"


def commands() -> list[dict[str, Any]]:
    """Every command of a vector that is not refused."""
    return [
        command
        for path in sorted(GOLDEN.glob("*.json"))
        for vector in json.loads(path.read_text(encoding="utf-8"))
        if not vector["refused"]
        for command in [*vector["commands"], *vector["back"]]
    ]


def test_every_kind_comes_back_as_it_was() -> None:
    found = commands()
    assert len({command["kind"] for command in found}) == 14
    for command in found:
        assert command_to_json(command_from_json(command)) == command


def test_fields_that_may_be_left_out() -> None:
    found = command_from_json({"kind": "set-indices", "id": "t1", "indices": ["i"]})
    assert found == SetIndices(id="t1", indices=("i",), dimensions=(), output=None)
    assert command_from_json({"kind": "move"}) == Move()


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ([], "bad-field", "The field 'a command' is [], not an object."),
        ({}, "unknown-command", "There is no command None."),
        ({"kind": "explode"}, "unknown-command", "There is no command 'explode'."),
        ({"kind": ["move"]}, "unknown-command", "There is no command ['move']."),
        ({"kind": "remove-tensor"}, "missing-field", "The field 'id' of a command is missing."),
        (
            {"kind": "remove-tensor", "id": "t1", "why": 1},
            "unknown-field",
            "The field 'why' of a command is not known.",
        ),
        (
            {"kind": "set-dimension", "name": "i", "dimension": 2.5},
            "bad-field",
            "The field 'dimension' is 2.5, not a whole number.",
        ),
        (
            {"kind": "set-output", "output": "ij"},
            "bad-field",
            "The field 'output' is 'ij', not a list.",
        ),
        (
            {"kind": "move", "positions": {"t1": [1]}},
            "bad-field",
            "The field 'positions.t1' is [1], not two numbers.",
        ),
        (
            {"kind": "set-dtype", "dtype": "int8"},
            "bad-dtype",
            "'int8' is not a number type.",
        ),
    ],
)
def test_refusals(value: object, code: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        command_from_json(value)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_names_are_checked_when_read() -> None:
    tensor = {"id": "t1", "name": "A", "indices": ["a b"], "array": {"kind": "copy"}}
    with pytest.raises(NetworkError) as caught:
        command_from_json({"kind": "add-tensor", "tensor": tensor, "mark": {"x": 0, "y": 0}})
    assert (caught.value.code, caught.value.message) == ("bad-name", "'a b' cannot name an index.")
