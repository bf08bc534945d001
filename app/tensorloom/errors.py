"""The exception tree: every error a user can cause is one of these, anything else is our bug.

    TensorloomError
    ├── InputError              what was typed, drawn, dropped or linked
    │   ├── NetworkError        a network that contradicts itself
    │   ├── EquationError       einsum text; ``where`` holds the character span
    │   ├── DocumentError       files, links, drafts, commands
    │   └── FileFormatError     OpenQASM, UAI, network JSON, npy; ``where`` holds line and file
    ├── PlanError               no contraction tree within the limits
    ├── KernelError
    │   └── UnsupportedKernel   this backend cannot; the next one is asked, visibly
    ├── ExecutionError
    │   ├── DeviceMemoryError   does not fit; mostly refused before it starts
    │   ├── DeviceLost
    │   ├── WorkerUnreachable
    │   └── WorkerRejected
    └── Cancelled

Fields are the truth: ``code`` is stable, kebab-case and listed in ``docs/errors.md``; ``where``
names what the editor can highlight; ``hint`` says what to do. The message is one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Cancelled",
    "DeviceLost",
    "DeviceMemoryError",
    "DocumentError",
    "EquationError",
    "ExecutionError",
    "FileFormatError",
    "InputError",
    "KernelError",
    "NetworkError",
    "PlanError",
    "TensorloomError",
    "UnsupportedKernel",
    "Where",
    "WorkerRejected",
    "WorkerUnreachable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The places an error speaks of, in ids the editor can highlight.

    Args:
        tensors: Tensor ids.
        indices: Index names.
        span: Half-open character range in the text that was read, or ``None``.
        line: Line in that text, counted from 1, or ``None``.
        file: Name of the file or the format read, or ``None``.
    """

    tensors: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    line: int | None = None
    file: str | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object holding only the fields that are set."""
        fields: dict[str, object] = {
            "tensors": list(self.tensors),
            "indices": list(self.indices),
            "span": list(self.span) if self.span else None,
            "line": self.line,
            "file": self.file,
        }
        return {name: value for name, value in fields.items() if value not in (None, [])}


@dataclass(frozen=True)
class TensorloomError(Exception):
    """Base of every error that Tensorloom raises on purpose.

    Args:
        code: Stable kebab-case name, listed in ``docs/errors.md``.
        message: One sentence with the values and both places.
        hint: What to do about it.
        where: What to highlight.
        values: The numbers and names in the message, as JSON values.
    """

    code: str
    message: str
    hint: str = ""
    where: Where = field(default_factory=Where)
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.message, self.hint, self.where, dict(self.values))

    def to_json(self) -> dict[str, object]:
        """The record that crosses to the page: ``kind, code, message, hint, where, values``."""
        return {
            "kind": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "where": self.where.to_json(),
            "values": dict(self.values),
        }


class InputError(TensorloomError):
    """What was typed, drawn, dropped or linked cannot be used."""


class NetworkError(InputError):
    """A network that contradicts itself."""


class EquationError(InputError):
    """Einsum text that cannot be read; ``where.span`` marks the characters."""


class DocumentError(InputError):
    """A file, link, draft or command that does not describe a document."""


class FileFormatError(InputError):
    """A foreign file that cannot be read; ``where.line`` marks the line."""


class PlanError(TensorloomError):
    """No contraction tree within the given limits."""


class KernelError(TensorloomError):
    """A kernel that cannot be made."""


class UnsupportedKernel(KernelError):
    """This backend cannot run the step; the next backend is asked and the user is told."""


class ExecutionError(TensorloomError):
    """A run that could not be carried out."""


class DeviceMemoryError(ExecutionError):
    """The run does not fit the device: before anything is allocated, or on the way after all."""


class DeviceLost(ExecutionError):
    """The GPU device went away."""


class WorkerUnreachable(ExecutionError):
    """The heavy worker does not answer."""


class WorkerRejected(ExecutionError):
    """The heavy worker refused the job."""


class Cancelled(TensorloomError):
    """The user stopped it."""
