"""The application: ``panel serve app/main.py``, and what the static site is made from."""

import panel as pn

from tensorloom.view.editor.editor import font_faces
from tensorloom.view.workbench import workbench

pn.extension(raw_css=[font_faces(), "html, body { margin: 0; height: 100%; overflow: hidden; }"])
workbench().servable(title="Tensorloom")
