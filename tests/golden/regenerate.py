"""Makes every golden file anew, from the ``*_cases.py`` beside this one; read the diff like code.

A cases module has ``FOLDER`` and ``texts()``, the files of that folder by name. Files that no case
makes are removed. Run by ``python3 build.py golden``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def wanted() -> dict[Path, str]:
    """What every golden file must hold."""
    files: dict[Path, str] = {}
    for path in sorted(HERE.glob("*_cases.py")):
        spec = importlib.util.spec_from_file_location(f"golden_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up while they are made.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        files.update({HERE / module.FOLDER / name: text for name, text in module.texts().items()})
    return files


def present() -> list[Path]:
    """The golden files there are."""
    return sorted(path for path in HERE.glob("*/*") if path.is_file() and path.suffix != ".pyc")


def main() -> None:
    """Write what changed, remove what nothing makes, and say so."""
    files = wanted()
    for path in present():
        if path not in files:
            path.unlink()
            print(f"removed {path.relative_to(HERE)}")
    for path, text in files.items():
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        if old != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(HERE)}")


if __name__ == "__main__":
    main()
