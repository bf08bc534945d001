"""Shaders as values: text, workgroups, what they bind; and the templates they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import DictLoader, Environment, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Shader", "Templates", "fill"]

Templates = tuple[tuple[str, str], ...]
"""File names below ``shaders/`` and their texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shader:
    """One compute shader.

    Args:
        name: Hash of the text.
        text: WGSL with the entry point ``main``.
        groups: Workgroups to dispatch, ``(x, y)``.
        unary: Whether binding 1 is absent.
        axes: What a shared text needs with each call: ``kept_axes``, ``all_axes``, ``outputs``,
            ``products``, then four numbers per axis; empty where all that is in the text.
        bindings: Of group 0, those that the text uses.
        then: Adds up the parts of a sum that was cut.
    """

    name: str
    text: str
    groups: tuple[int, int]
    unary: bool
    axes: tuple[int, ...] = ()
    bindings: tuple[int, ...] = (0, 1, 2, 3, 4)
    then: Shader | None = None


@cache
def _environment(templates: Templates) -> Environment:
    return Environment(
        loader=DictLoader(dict(templates)),
        undefined=StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="«",
        variable_end_string="»",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # the output is WGSL, not HTML
    )


def fill(templates: Templates, family: str, values: Mapping[str, object]) -> tuple[str, str]:
    """The filled template and the hash that names it, which stands in its first line."""
    body = _environment(templates).get_template(family).render(name="{name}", **values)
    name = hashlib.sha256(body.encode()).hexdigest()[:16]
    return body.replace("{name}", name, 1), name
