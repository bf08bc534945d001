"""The heap snapshot: made in headless Chromium, restored by the page instead of importing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["build"]


def build(_env: Environment, _python: Path) -> bool:
    """Whether a snapshot was made."""
    return False
