"""Where this Python runs. The only module that asks ``sys.platform``."""

from __future__ import annotations

import sys

__all__ = ["IN_BROWSER"]

IN_BROWSER = sys.platform == "emscripten"
"""Whether this is Pyodide in a browser."""
