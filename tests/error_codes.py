"""The codes of all errors that the source can raise, read from the source and never by running it.

In Python a code is the first argument of a class of ``tensorloom.errors``, or the argument
``code`` of a function that passes it on. In TypeScript it is the first argument of ``CommandError``
or ``refused``, or a field ``code``.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tensorloom import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["python_codes", "typescript_codes"]

CLASSES = frozenset(
    name
    for name in errors.__all__
    if isinstance(found := getattr(errors, name), type) and issubclass(found, Exception)
)
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
IN_TYPESCRIPT = re.compile(r"""(?:CommandError\(\s*|\brefused\(\s*|\bcode:\s*)"([a-z0-9-]+)\"""")


def python_codes(files: Iterable[Path]) -> dict[str, str]:
    """Where each code is raised, as ``file:line``, by code.

    Raises:
        AssertionError: A code that cannot be read from the source.
    """
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    found: dict[str, str] = {}
    for path, tree in trees.items():
        # A function that passes a code on is called in its own module, or imported.
        places = _places_of_code(tree) | _imported(tree, trees)
        for call, enclosing in _calls(tree):
            given = _argument(call, places)
            for code in _codes_of(given, enclosing, f"{path.name}:{call.lineno}"):
                found.setdefault(code, f"{path.name}:{call.lineno}")
    return found


def typescript_codes(files: Iterable[Path]) -> dict[str, str]:
    """The file in which each code stands, by code."""
    return {
        code: path.name
        for path in files
        for code in IN_TYPESCRIPT.findall(path.read_text(encoding="utf-8"))
    }


def _places_of_code(tree: ast.AST) -> dict[str, int]:
    """Position of the parameter ``code`` of each function that has one, by function name."""
    places: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
            for place, argument in enumerate(node.args.args):
                kind = argument.annotation
                if argument.arg == "code" and isinstance(kind, ast.Name) and kind.id == "str":
                    places[node.name] = place - (names[0] == "self")
    return places


def _imported(tree: ast.AST, trees: dict[Path, ast.Module]) -> dict[str, int]:
    """The same for functions that a module imports from one of the others."""
    places: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            tail = "/".join(node.module.split(".")) + ".py"
            for path, other in trees.items():
                if path.as_posix().endswith(tail):
                    known = _places_of_code(other)
                    places |= {a.name: known[a.name] for a in node.names if a.name in known}
    return places


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """Every call with the innermost function around it."""

    def walk(
        node: ast.AST, inside: ast.FunctionDef | None
    ) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
        if isinstance(node, ast.FunctionDef):
            inside = node
        if isinstance(node, ast.Call):
            yield node, inside
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree, None)


def _argument(call: ast.Call, places: dict[str, int]) -> ast.expr | None:
    """The expression that a call gives as code; ``None`` for a call that has nothing to do with it.

    Only calls that give a message too count: others use the same words for other things.
    """
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    place = 0 if name in CLASSES else places.get(name)
    if place is None:
        return None
    for keyword in call.keywords:
        if keyword.arg == "code":
            return keyword.value
    return call.args[place] if len(call.args) > place + 1 else None


def _codes_of(given: ast.expr | None, inside: ast.FunctionDef | None, where: str) -> Iterator[str]:
    """The codes that an expression can have."""
    match given:
        case None:
            return
        case ast.Constant(value=str(code)):
            assert CODE.fullmatch(code), f"{where}: {code!r} is not a kebab-case code"
            yield code
        case ast.IfExp(body=body, orelse=orelse):
            yield from _codes_of(body, inside, where)
            yield from _codes_of(orelse, inside, where)
        case ast.Name(id=name) if inside is not None:
            if name in {argument.arg for argument in inside.args.args}:
                return  # passed on; the callers name it
            codes = [
                item.value
                for row in ast.walk(inside)
                if isinstance(row, ast.Tuple)
                for item in row.elts
                if isinstance(item, ast.Constant)
                and isinstance(item.value, str)
                and "-" in item.value
                and CODE.fullmatch(item.value)
            ]
            assert codes, f"{where}: no code to be found for {name}"
            yield from codes
        case _:
            raise AssertionError(f"{where}: the code {ast.unparse(given)} is not in the source")
