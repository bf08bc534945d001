"""The application: ``panel serve app/main.py``, and what the static site is made from."""

from tensorloom.view.workbench import workbench

workbench().servable(title="Tensorloom")
