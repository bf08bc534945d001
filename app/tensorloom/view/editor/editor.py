"""The Panel component that shows the workbench; everything it draws is TypeScript beside this file.

The bundle is served as a file of the site and loaded by its address, never sent through Python.
Messages in both directions are the records of ``protocol.ts``.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import param
from panel.custom import Child, ReactComponent

from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

__all__ = ["IS_BUILT", "Editor", "font_faces"]

SERVED = Path(__file__).parent / "served"
"""Where the build leaves bundle and fonts for ``panel serve``; the static site has its own."""

BUNDLE = SERVED / "editor.js"

IS_BUILT = IN_BROWSER or BUNDLE.is_file()
"""Whether the page's half is there: a checkout has it after its first build."""

BUILD_RECORD = Path(__file__).parent.parent.parent / "_build.json"
"""Written into the page's payload: the bundle's address on the static site."""

FACES = (
    ("Inter", "inter.woff2", "100 900", "normal"),
    ("KaTeX Math", "katex-math-italic.woff2", "400", "italic"),
    ("KaTeX Main", "katex-main.woff2", "400", "normal"),
    ("KaTeX Main", "katex-main-italic.woff2", "400", "italic"),
)
"""Family, file, weight and style; twin of ``styles/fonts.ts``, where all ranges are."""


def font_faces() -> str:
    """``@font-face`` rules with the fonts in them: ``panel serve`` has no address for files."""
    rules = []
    for family, file, weight, style in FACES:
        path = SERVED / "fonts" / file
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            source = f"url(data:font/woff2;base64,{data}) format('woff2')"
            rules.append(
                f"@font-face {{ font-family: '{family}'; font-weight: {weight}; "
                f"font-style: {style}; src: {source}; }}"
            )
    return "\n".join(rules)


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

    _bundle = None if IN_BROWSER or not IS_BUILT else str(BUNDLE)
    _esm = "export function render() { return null; }"

    def __init__(self, on_request: Callable[[dict[str, Any]], None], **parts: Any) -> None:  # noqa: ANN401  # Panel's parameters
        super().__init__(**parts)
        self._on_request = on_request

    def _handle_msg(self, data: Any) -> None:  # noqa: ANN401  # Panel's signature
        self._on_request(json.loads(data))

    def send(self, notice: dict[str, object]) -> None:
        """Send a notice to the page."""
        self._send_msg(notice)

    def _get_properties(self, doc: Document | None) -> dict[str, Any]:
        properties: dict[str, Any] = super()._get_properties(doc)
        if BUILD_RECORD.is_file():
            address = json.loads(BUILD_RECORD.read_text())["editor"]
            properties.update(bundle="url", esm=address, css_bundle=None, importmap={})
        return properties
