"""Files that the package carries: shader templates, from the wheel or from a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["templates"]

PACKAGED = Path(__file__).parent / "_shaders"
IN_CHECKOUT = Path(__file__).parent.parent.parent / "shaders"


@cache
def templates() -> tuple[tuple[str, str], ...]:
    """Names below ``shaders/`` and texts of all templates.

    Raises:
        FileNotFoundError: The package was installed without them.
    """
    folder = PACKAGED if PACKAGED.is_dir() else IN_CHECKOUT
    found = sorted(folder.rglob("*.wgsl.j2"))
    if not found:
        raise FileNotFoundError(f"There are no shader templates in {folder}.")
    return tuple((path.relative_to(folder).as_posix(), path.read_text("utf-8")) for path in found)
