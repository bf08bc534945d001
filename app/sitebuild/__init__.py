"""What ``build.py`` is made of. Standard library only: it runs before anything is installed.

environment  venv, pip, Node, npm      runtime  locked Pyodide files and wheels, verified
bundle       TypeScript -> ES modules  payload  Python for the page, as .pyc archives
site         dist/                     snapshot heap image of the started application
browsers     Chromium, Firefox, WebKit serve    the local server
checks       lint, types               tests    all tiers, in order, with timings
"""

from __future__ import annotations

__all__ = ["SiteError"]


class SiteError(Exception):
    """A build step that failed for a reason its user can act on; shown without a trace."""
