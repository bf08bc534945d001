"""The one door for foreign text: which format it is, and who reads it.

Formats: ``einsum``, ``network-json``, ``qasm``, ``qsim``, ``uai``, ``document``, ``link``. Binary
arrays come through ``formats.npy``. Whatever the reader refuses carries the file's or the format's
name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, TensorloomError, Where
from tensorloom.formats import einsum_text, network_json, uai
from tensorloom.formats.opened import Opened
from tensorloom.model import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMATS", "open_text", "sniff"]

_ENDINGS = {
    "qasm": "qasm",
    "qsim": "qsim",
    "uai": "uai",
    "bn": "uai",
    "einsum": "einsum",
    "tensorloom": "document",
}
_FIRST_WORDS = {"MARKOV": "uai", "BAYES": "uai"}
_SNIFFED_CHARACTERS = 4096


def open_text(
    text: str,
    *,
    format: str | None = None,  # noqa: A002  # the word of the public API
    name: str = "",
    options: Mapping[str, object] | None = None,
) -> Opened:
    """The document in a text, and its arrays.

    Args:
        text: The file's content, what was pasted, or the fragment of a link.
        format: One of ``FORMATS``; ``None`` finds out from the content, then from the name.
        name: File name, for the title and for errors.
        options: ``sizes``, ``seed`` and ``arrays`` for einsum, ``seed`` for network JSON,
            ``output`` for qasm and qsim.

    Raises:
        FileFormatError: ``unknown-format``, ``unknown-option``, ``bad-option``, or the reader's.
        TensorloomError: What the document refuses.
    """
    chosen = sniff(text, name) if format is None else format
    if chosen not in _READERS:
        raise FileFormatError(
            "unknown-format",
            f"There is no format {chosen!r:.40}.",
            f"Known formats: {', '.join(FORMATS)}.",
            Where(file=name or chosen[:40]),
        )
    read, allowed = _READERS[chosen]
    given = dict(options or {})
    for option in given:
        if option not in allowed:
            raise FileFormatError(
                "unknown-option",
                f"The format {chosen} has no option {option!r:.40}.",
                f"Its options: {', '.join(allowed) or 'none'}.",
                Where(file=name or chosen),
            )
    try:
        return read(text, name, given)
    except TensorloomError as error:
        where = replace(error.where, file=name or error.where.file or chosen)
        raise replace(error, where=where) from error


def sniff(text: str, name: str = "") -> str:
    """The format of a text, by its content and then by its name.

    Raises:
        FileFormatError: ``unknown-format``, naming what was tried.
    """
    start = text[:_SNIFFED_CHARACTERS].lstrip("\ufeff \t\r\n")
    first = "".join(start.split(None, 1)[:1])
    ending = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    circuit = _circuit_format(start, first)
    if circuit is not None:
        return circuit
    if first in _FIRST_WORDS:
        return _FIRST_WORDS[first]
    if start.startswith("{"):
        return "document" if '"tensorloom"' in text else "network-json"
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if _is_link(start):
        return "link"
    if "->" in text or ("," in text and len(text) < _SNIFFED_CHARACTERS):
        return "einsum"
    raise FileFormatError(
        "unknown-format",
        f"This is none of the formats that Tensorloom reads: {', '.join(FORMATS)}.",
        "Name the format, or give the file its usual ending.",
        Where(file=name or "text"),
    )


def _circuit_format(start: str, first: str) -> str | None:
    if first == "OPENQASM" or start.startswith("//") or "qreg " in start:
        return "qasm"
    return "qsim" if first.isdigit() and _is_qsim(start) else None


_LEAST_LINK = 60
"""A document's link is longer; so a short word is not taken for one [characters]."""


def _is_link(start: str) -> bool:
    fragment = start.rsplit("#", 1)[-1].strip()
    plain = fragment.replace("-", "").replace("_", "")
    return len(fragment) >= _LEAST_LINK and plain.isascii() and plain.isalnum()


def _einsum(text: str, name: str, options: Mapping[str, object]) -> Opened:
    sizes, arrays = options.get("sizes", {}), options.get("arrays", ())
    if not isinstance(sizes, dict):
        raise _bad_option("sizes", sizes, "an object of whole numbers by index name")
    if not isinstance(arrays, (list, tuple)):
        raise _bad_option("arrays", arrays, "a list of arrays")
    return einsum_text.read(text, name=name, sizes=sizes, seed=_seed(options), arrays=tuple(arrays))


def _network_json(text: str, name: str, options: Mapping[str, object]) -> Opened:
    return network_json.read(text, name=name, seed=_seed(options))


def _qasm(text: str, name: str, options: Mapping[str, object]) -> Opened:
    from tensorloom.formats import qasm  # noqa: PLC0415  # a parser that few visits need

    output = options.get("output", "state")
    if not isinstance(output, str):
        raise _bad_option("output", output, "'state' or a bit string")
    return Opened(document=qasm.read(text, output=output, name=name))


def _is_qsim(start: str) -> bool:
    from tensorloom.formats import qsim  # noqa: PLC0415  # as for qasm

    return qsim.is_qsim(start)


def _qsim(text: str, name: str, options: Mapping[str, object]) -> Opened:
    from tensorloom.formats import qsim  # noqa: PLC0415  # as for qasm

    output = options.get("output", "state")
    if not isinstance(output, str):
        raise _bad_option("output", output, "'state' or a bit string")
    return Opened(document=qsim.read(text, output=output, name=name))


def _uai(text: str, name: str, _options: Mapping[str, object]) -> Opened:
    return uai.read(text, name=name)


def _document(text: str, _name: str, _options: Mapping[str, object]) -> Opened:
    return Opened(document=codec.from_text(text))


def _link(text: str, _name: str, _options: Mapping[str, object]) -> Opened:
    return Opened(document=codec.decode_link(text.strip().rsplit("#", 1)[-1]))


def _seed(options: Mapping[str, object]) -> int:
    seed = options.get("seed", 0)
    if isinstance(seed, float) and seed.is_integer():
        return int(seed)
    if type(seed) is not int:
        raise _bad_option("seed", seed, "a whole number")
    return seed


def _bad_option(option: str, value: object, wanted: str) -> FileFormatError:
    return FileFormatError(
        "bad-option", f"The option '{option}' is {value!r:.40}.", f"Give {wanted}."
    )


_READERS: dict[str, tuple[Callable[[str, str, Mapping[str, object]], Opened], tuple[str, ...]]] = {
    "einsum": (_einsum, ("sizes", "seed", "arrays")),
    "network-json": (_network_json, ("seed",)),
    "qasm": (_qasm, ("output",)),
    "qsim": (_qsim, ("output",)),
    "uai": (_uai, ()),
    "document": (_document, ()),
    "link": (_link, ()),
}
FORMATS: tuple[str, ...] = tuple(_READERS)
"""Names of the text formats."""
