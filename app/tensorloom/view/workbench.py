"""Wires the workbench: the page's component, the session that answers it, the picture beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import panel as pn

from tensorloom.formats.templates import example
from tensorloom.model import codec
from tensorloom.view.editor.editor import IS_BUILT, Editor
from tensorloom.view.inspection import Inspection
from tensorloom.view.session import Session

if TYPE_CHECKING:
    from panel.viewable import Viewable

__all__ = ["sessions", "workbench"]

sessions: list[Session] = []
"""The sessions of this process, newest last; the page's worker has exactly one."""


def workbench() -> Viewable:
    """The whole page as one Panel object."""
    if not IS_BUILT:
        return pn.pane.Str("The page's half is not built yet. Run: python3 build.py site")
    inspection = Inspection()
    session = Session(inspection=inspection)
    document = example()
    editor = Editor(
        on_request=session.receive,
        opening=json.dumps(codec.to_json(document)),
        notices=json.dumps(session.first_notices(document)),
        inspection=pn.pane.Bokeh(inspection.figure, sizing_mode="stretch_width"),
        sizing_mode="stretch_both",
    )
    session.send = editor.send
    sessions.append(session)
    return editor
