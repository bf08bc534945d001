"""Four small changes to Pyodide's generated module, so that a heap image may hold C extensions.

Pyodide's own snapshots know nothing of dynamic libraries. With these hooks the place of every
library and table entry can be recorded and restored (``workers/browser/dynamicLibraries.ts``).
Where no hooks are given the module does what it did before. The version is pinned by its hash, so
each text is found exactly once, or the build stops.
"""

from __future__ import annotations

from sitebuild import SiteError

__all__ = ["patched"]

INSERTIONS = {
    # Where a library's data and functions were put.
    "var tableBase=metadata.tableSize?wasmTable.length:0;": (
        "Module.snapshotHooks?.library(libName,handle,memoryBase,tableBase);"
    ),
    # Where a library's data must be put: the image that follows holds it there.
    "var getMemory=size=>{": (
        "if(Module.snapshotHooks?.memoryBase!==undefined)return Module.snapshotHooks.memoryBase;"
    ),
    # Which function was put into which slot of the table.
    "functionsInTableMap.set(func,ret);": "Module.snapshotHooks?.added(ret,func);",
    # ``undefined`` among the objects that Python holds goes to the serializer like any other.
    'if(!["object","function"': ',"undefined"',
}
"""Texts of the module, and what is put right after each."""


def patched(module: str) -> str:
    """The text of ``pyodide.asm.mjs`` with the hooks.

    Raises:
        SiteError: It is not the text that the changes were written for.
    """
    for place, insertion in INSERTIONS.items():
        found = module.count(place)
        if found != 1:
            raise SiteError(
                f"pyodide.asm.mjs has {found} places like {place!r}; the snapshot needs 1. "
                "The insertions in pyodide_patch.py are for one version of Pyodide."
            )
        module = module.replace(place, place + insertion)
    return module
