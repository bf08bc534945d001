"""The Panel component that shows the workbench; everything it draws is TypeScript beside this file.

The bundle is served as a file of the site and loaded by its address, never sent through Python.
Messages in both directions are the records of ``protocol.ts``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import param
from panel.custom import Child, ReactComponent

from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

__all__ = ["Editor"]

BUNDLE = Path(__file__).parent / "editor.bundle.js"
"""Where the build leaves the bundle for ``panel serve``; the static site has its own copy."""

BUILD_RECORD = Path(__file__).parent.parent.parent / "_build.json"
"""Written into the page's payload: the bundle's address on the static site."""

UNBUILT = """
export function render() {
  return "The page's half is not built yet. Run: python3 build.py site";
}
"""


class Editor(ReactComponent):
    """The workbench as the page draws it.

    Args:
        opening: JSON of the document to open with, where the page has none of its own. (Bokeh
            models have a ``document`` already.)
        notices: JSON list of what Python said about that document when the site was built.
        inspection: The picture of the tensor that is looked into.
    """

    opening: str = param.String(default="{}")
    notices: str = param.String(default="[]")
    inspection: Any = Child()

    _bundle = str(BUNDLE) if BUNDLE.is_file() and not IN_BROWSER else None
    _esm = UNBUILT

    def __init__(self, on_request: Callable[[dict[str, Any]], None], **parts: Any) -> None:  # noqa: ANN401  # Panel's parameters
        super().__init__(**parts)
        self._on_request = on_request

    def _handle_msg(self, data: Any) -> None:  # noqa: ANN401  # Panel's signature
        self._on_request(data)

    def send(self, notice: dict[str, object]) -> None:
        """Send a notice to the page."""
        self._send_msg(notice)

    def _get_properties(self, doc: Document | None) -> dict[str, Any]:
        properties: dict[str, Any] = super()._get_properties(doc)
        if BUILD_RECORD.is_file():
            address = json.loads(BUILD_RECORD.read_text())["editor"]
            properties.update(bundle="url", esm=address, css_bundle=None, importmap={})
        return properties
