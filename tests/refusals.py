"""What every reader of foreign input must do with anything: read it, or refuse it and explain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tensorloom.errors import TensorloomError
from tensorloom.model import codec
from tensorloom.model.document import Document

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_SECONDS", "assert_explained", "assert_reads_or_refuses"]

MAX_SECONDS = 2.0
"""Longest reading [seconds of CPU time]; wall time would measure the machine's other work."""


def assert_reads_or_refuses(read: Callable[[], object]) -> object | None:
    """What was read, ``None`` if it was refused with a code, a place and a hint; both at once."""
    started = time.process_time()
    try:
        found = read()
    except TensorloomError as error:
        assert_explained(error)
        found = None
    assert time.process_time() - started < MAX_SECONDS
    if isinstance(found, Document):
        assert codec.from_json(codec.to_json(found)) == found
    return found


def assert_explained(error: TensorloomError) -> None:
    """The error says what is wrong, where, and what to do, in printable words."""
    if not (error.code and error.message and error.hint and error.where.to_json()):
        pytest.fail(f"not explained: {error.to_json()}")
    assert error.message.isprintable()
    assert error.hint.isprintable()
