"""The command line: ``python -m tensorloom contract FILE`` prints the value and what it cost.

Bad input ends in one line on the error stream and exit status 2, never in a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from math import log10
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tensorloom.engine import backend_choice, completed, contract_network, most_elements_here
from tensorloom.errors import FileFormatError, TensorloomError, Where
from tensorloom.execute.arrays import ArrayStore
from tensorloom.execute.quantities import bytes_text, count_text, duration_text
from tensorloom.formats.opening import FORMATS, open_text, sniff
from tensorloom.model.document import DTYPES
from tensorloom.plan.find import quick, with_path
from tensorloom.plan.sharing import work_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom.execute.backend import Result, SlicesDone
    from tensorloom.formats.opened import Opened
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.plan.plan import Plan

__all__ = ["main"]

LABEL_WIDTH = 16

INTERRUPTED = 130
"""Exit status after Ctrl+C, by the custom of shells."""

WORTH_SEARCHING_MUL_ADDS = 10**9
"""Plans from this cost on are searched further by themselves."""

SEARCH_S = 10.0
"""For how long, unless ``--search`` says otherwise [s]."""

PROGRESS_S = 3.0
"""Time between two lines about a long run [s]."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 for bad input, or 130 after Ctrl+C.

    Args:
        arguments: Instead of those of the process.
    """
    try:
        given = _parsed(arguments)
        lines = _contract(given)
    except TensorloomError as error:
        print(f"tensorloom: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ntensorloom: interrupted", file=sys.stderr)
        return INTERRUPTED
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class _Parser(argparse.ArgumentParser):
    """Complains in one line, like everything else here."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tensorloom: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tensorloom", description="Contract tensor networks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    contract = commands.add_parser(
        "contract",
        help="print the value of a network and what it cost",
        description="Print the value of a network and what it cost.",
    )
    contract.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="what to open, - for standard input, or einsum text itself",
    )
    contract.add_argument("--format", choices=FORMATS, help="by default found from the text")
    contract.add_argument(
        "--output",
        metavar="state|BITS",
        help="of a circuit: the full state, or the amplitude of a bit string, qubit 0 first",
    )
    contract.add_argument("--seed", type=int, help="of random arrays that the file does not fix")
    contract.add_argument(
        "--backend",
        default="auto",
        help="auto (default), numpy, wgpu or webgpu-f16; of a worker also torch or cupy",
    )
    contract.add_argument("--dtype", choices=DTYPES, help="by default the document's own")
    contract.add_argument(
        "--search",
        type=_seconds,
        metavar="SECONDS",
        help=f"look so long for a better order; by default {SEARCH_S:.0f} where it may pay",
    )
    contract.add_argument("--save", metavar="NPY", type=Path, help="write the value to this file")
    contract.add_argument(
        "--worker",
        metavar="ADDRESS",
        help="have a heavy worker compute it, such as http://127.0.0.1:8765",
    )
    contract.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="its token is in this file; by default in TENSORLOOM_WORKER_TOKEN",
    )
    contract.add_argument(
        "--job", metavar="ID", help="come back to a job of the worker, instead of FILE"
    )
    return parser


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, those that belong together found together."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.worker is None and (given.token_file or given.job):
        parser.error("--token-file and --job need --worker ADDRESS")
    if (given.file is None) == (given.job is None):
        parser.error(
            "give either FILE or --job ID"
            if given.worker
            else "the following arguments are required: FILE"
        )
    if given.job is not None and given.backend != "auto":
        parser.error("--backend belongs to a new job, not to --job")
    if given.worker is None:
        backend_choice(given.backend)
    return given


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _planned(network: Network, seconds: float | None, most: Callable[[], int]) -> Plan:
    """The plan found at once, improved for a while where that may pay or is asked for.

    Args:
        network: What is contracted.
        seconds: How long a search may take; ``None`` for the usual time where it may pay.
        most: Tells what there is room for, if there is a search [elements].
    """
    plan = quick(network)
    if seconds is None:
        worth = not plan.proved and plan.cost.mul_adds >= WORTH_SEARCHING_MUL_ADDS
        seconds = SEARCH_S if worth else 0.0
    if seconds == 0:
        return plan
    from tensorloom.plan.improve import improve  # noqa: PLC0415  # imports cotengra, rarely needed

    until = perf_counter() + seconds
    for progress in improve(plan, most_elements=most()):
        if progress.path is not None:
            plan = with_path(network, progress.path, finder=progress.finder, sliced=progress.sliced)
        if perf_counter() >= until:
            break
    return plan


def _contract(given: argparse.Namespace) -> list[str]:
    if given.job is not None:
        result = _on_worker(given)
        lines = _report(None, None, result)
    else:
        opened = _opened(given)
        store = ArrayStore()
        for array in opened.arrays:
            store.add(array)
        # A worker looks for an order itself, from this one on.
        seconds = given.search if given.worker is None else 0
        dtype = given.dtype or opened.document.dtype
        most = partial(most_elements_here, given.backend, dtype)
        plan = _planned(opened.document.network, seconds, most)
        if given.worker is None:
            result = contract_network(
                opened.document,
                backend=given.backend,
                dtype=given.dtype,
                store=store,
                plan=plan,
                pulse=_Progress(work_of(plan).mul_adds),
            )
        else:
            result = _on_worker(given, opened.document, store, plan)
        lines = _report(opened.document.network, plan, result)
    if given.save is not None:
        try:
            np.save(given.save, result.value)
        except OSError as error:
            reason = error.strerror or "it cannot be written"
            hint = "Give the path of a file in a folder that exists."
            raise _unusable(str(given.save), reason, hint) from error
    return lines


def _on_worker(
    given: argparse.Namespace,
    document: Document | None = None,
    store: ArrayStore | None = None,
    plan: Plan | None = None,
) -> Result:
    """The value of a job: a new one for a document, or the one that is named.

    Raises:
        SystemExit: Nobody waits any longer; the job goes on.
    """
    # Not loaded for others: ssl is slow to import.
    from tensorloom.execute.remote.client import WorkerClient  # noqa: PLC0415
    from tensorloom.execute.remote.job import contracted, returned  # noqa: PLC0415
    from tensorloom.execute.remote.request import job_request  # noqa: PLC0415
    from tensorloom.execute.remote.terminal import Terminal  # noqa: PLC0415

    client = WorkerClient.of(given.worker, _token(given.token_file))
    terminal = Terminal(client)
    try:
        if document is None:
            return completed(returned(client, given.job, terminal.watcher))
        dtype = given.dtype or document.dtype
        request = job_request(
            document,
            None,
            dtype=dtype,
            store=store or ArrayStore(),
            plan=plan,
            backend=given.backend,
        )
        return completed(contracted(client, request, terminal.watcher))
    except KeyboardInterrupt:
        print(f"\n{terminal.farewell()}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    finally:
        client.close()


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise _unusable(str(file), reason, "Give the file that holds the token.") from error


class _Progress:
    """Says on a terminal, every few seconds, how far a long run has come."""

    def __init__(self, mul_adds: int) -> None:
        self.mul_adds = mul_adds
        self.started = self.said = perf_counter()

    async def __call__(self, done_mul_adds: int, slices: SlicesDone | None = None, /) -> None:
        now = perf_counter()
        if now - self.said < PROGRESS_S or not sys.stderr.isatty() or done_mul_adds == 0:
            return
        self.said = now
        part = min(1.0, done_mul_adds / max(1, self.mul_adds))
        left_ms = 1e3 * (now - self.started) * (1 - part) / part
        pieces = f", {slices.done} of {slices.of} slices" if slices else ""
        print(f"{part:.1%} done{pieces}, about {duration_text(left_ms)} to go", file=sys.stderr)


def _opened(given: argparse.Namespace) -> Opened:
    text, name = _text(given.file)
    kind = given.format or sniff(text, name)
    options: dict[str, object] = {"output": given.output, "seed": given.seed}
    return open_text(
        text,
        format=kind,
        name=name,
        options={option: value for option, value in options.items() if value is not None},
    )


def _text(file: str) -> tuple[str, str]:
    """The text to open and its name."""
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode(), "standard input"
        path = Path(file)
        if "->" in file and not path.exists():
            return file, ""
        return path.read_bytes().decode(), path.name
    except UnicodeDecodeError as error:
        raise _unusable(file, "it is not UTF-8 text") from error
    except OSError as error:
        raise _unusable(file, error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise _unusable(file, "it is not the name of a file") from error


def _unusable(
    file: str, reason: str, hint: str = "Give the path of a file, or - for standard input."
) -> FileFormatError:
    shown = file if len(file) < 80 else f"{file[:77]}..."  # noqa: PLR2004  # one terminal line
    return FileFormatError(
        "unusable-file",
        f"{shown!r} cannot be used: {reason}.",
        hint,
        Where(file=shown),
    )


def _sentence(error: TensorloomError) -> str:
    """The error in one line, with its place in the file."""
    line = error.where.line
    place = f"line {line}: " if line is not None else ""
    return " ".join(f"{place}{error}".split())


def _report(network: Network | None, plan: Plan | None, result: Result) -> list[str]:
    """The value, then its cost, one fact a line."""
    kind = "complex" if result.dtype.startswith("complex") else "real"
    flop = result.mul_adds * (8 if kind == "complex" else 2)
    names = _axes(network) if network else [str(size) for size in result.value.shape]
    shape = " x ".join(names) or "a scalar"
    rows = [
        ("value", _value_text(result)),
        ("axes", shape),
        ("error bound", _bound_text(result.error_bound)),
        ("computed on", f"{result.backend} in {result.dtype}"),
        ("time", f"{duration_text(result.ms)}, predicted {duration_text(result.predicted_ms)}"),
        ("multiply-adds", f"{result.mul_adds:,} ({count_text(flop)} FLOP, {kind})"),
        *_planned_rows(plan, result),
        *(("note", note) for note in result.notes),
    ]
    return [_row(label, text) for label, text in rows]


def _planned_rows(plan: Plan | None, result: Result) -> list[tuple[str, str]]:
    """What the plan decided; a worker's own plan is its affair."""
    memory = ("peak memory", bytes_text(result.peak_bytes))
    if plan is None or result.backend == "worker":
        return [memory]
    steps = len(plan.tree.path)
    largest = f"{count_text(plan.cost.largest_elements)} elements made in one step"
    order = f"{plan.finder}, {steps} step{'s' * (steps != 1)}"
    return [("largest tensor", largest), memory, ("order", order)]


def _axes(network: Network) -> list[str]:
    return [f"{name}: {network.dimension_of[name]}" for name in network.output]


def _row(label: str, text: str) -> str:
    indent = " " * LABEL_WIDTH
    return f"{label:<{LABEL_WIDTH}}{text}".replace("\n", f"\n{indent}")


def _bound_text(bound: float) -> str:
    return "no digit is certain" if bound >= 1 else f"{bound:.2g} of the largest magnitude"


def _value_text(result: Result) -> str:
    """A scalar in full, an array in numpy's short form; a carried exponent beside it."""
    value: np.ndarray[Any, Any] = result.value
    if value.ndim == 0:
        text = str(value.item())
    else:
        text = np.array2string(value, threshold=200, max_line_width=100 - LABEL_WIDTH)
    if result.log10_scale == 0:
        return text
    scale = f"10^{result.log10_scale:.0f}"
    largest = float(np.abs(value).max())
    return f"{text} x {scale} (log10 of the largest magnitude: {_log10(largest, result):.12g})"


def _log10(largest: float, result: Result) -> float:
    return log10(largest) + result.log10_scale


if __name__ == "__main__":
    sys.exit(main())
