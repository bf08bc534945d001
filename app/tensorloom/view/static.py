"""The application as a Bokeh document in the page's Python worker: built once, then linked.

Only the worker imports this module. Model ids come from Bokeh's counter, so a document built by the
same code has the same ids each time: the page shows a prerendered one and links it without drawing
again. Panel's own Pyodide module gives the patch conversions.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import panel.io.pyodide as panel_pyodide
from bokeh.document import Document
from bokeh.io.doc import set_curdoc
from panel.io.document import MockSessionContext
from panel.io.state import state

from tensorloom.view.workbench import workbench

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["apply_patch", "build", "document_texts", "link"]

_built: list[Document] = []


def build() -> None:
    """Make the document; called once, before a snapshot is taken or after a plain start."""
    document = Document()
    document.hold()
    document._session_context = lambda: MockSessionContext(document=document)  # noqa: SLF001  # as Panel does
    set_curdoc(document)
    state.curdoc = document
    workbench().server_doc(doc=document, location=False)
    document._session_context = None  # noqa: SLF001  # as Panel does before linking
    _built.append(document)
    gc.collect()


def document_texts() -> tuple[str, str, str]:
    """JSON of the documents, of the render items and of the root ids."""
    texts: tuple[str, str, str] = panel_pyodide._doc_json(_built[0])  # noqa: SLF001  # no public door
    return texts


async def link(send_patch: Callable[..., None]) -> None:
    """From now on changes in Python go to the page."""
    kept = send_patch.copy() if hasattr(send_patch, "copy") else send_patch
    panel_pyodide._link_docs_worker(_built[0], kept, setter="js")  # noqa: SLF001  # no public door
    state._loaded[_built[0]] = state._connected[_built[0]] = True  # noqa: SLF001  # as Panel does


async def apply_patch(patch: Any) -> None:  # noqa: ANN401  # a JavaScript object
    """Apply the page's changes; async so that callbacks may await JavaScript promises."""
    converted = panel_pyodide._convert_json_patch(patch)  # noqa: SLF001  # no public door
    _built[0].apply_json_patch(converted, setter="js")
