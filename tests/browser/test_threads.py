"""Sliced runs on the threads of an isolated page: the numbers of one thread, sums, cancellation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gauges import python

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.alone]

SLICED = """
import json
from copy import copy
import numpy as np
from tensorloom.errors import Cancelled
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import opened
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

SIDE, SLICES = 320, 6
wasm = opened().backends["wasm"]
alone = copy(wasm)
alone.threads = None
tree = ContractionTree(
    inputs=(("i", "j"), ("j", "k"), ("s", "k", "l"), ("s", "l", "i")),
    output=("k", "i"),
    dimensions=(("i", SIDE), ("j", SIDE), ("k", SIDE), ("l", SIDE), ("s", SLICES)),
    path=((0, 1), (2, 3), (4, 5)),
    sliced=("s",),
)
sizes = dict(tree.dimensions)
found = []
for dtype in ("float32", "complex128"):
    program = lower(tree, dtype)
    draw = np.random.default_rng(1)
    arrays = [
        draw.integers(-3, 4, [sizes[name] for name in names]).astype(dtype)
        for names in tree.inputs
    ]
    wanted = (await alone.run(program, arrays, no_pulse)).value
    partial = []
    told = []

    async def pulse(done, slices=None):
        told.append((done, slices.done))
        if slices.done and not partial:
            part = [*arrays[:2], *(array[:slices.done] for array in arrays[2:])]
            right = np.einsum("ij,jk,skl,sli->ki", *part, optimize=True)
            partial.append(bool(((await slices.so_far()).value == right).all()))

    async def stop(done, slices=None):
        if slices.done:
            raise Cancelled("cancelled", "Enough.")

    try:
        await wasm.run(program, arrays, stop)
        stopped = False
    except Cancelled:
        stopped = True
    value = (await wasm.run(program, arrays, pulse)).value
    found.append({
        "prologue": program.prologue,
        "threaded": any(known[0] is program for known in wasm.threads._loaded.values()),
        "same": bool((value == wanted).all()),
        "stopped": stopped,
        "partial": partial,
        "ordered": told == sorted(told),
    })
json.dumps([wasm.threads.count, found])
"""

GRADIENTS = """
import json
from copy import copy
import numpy as np
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import opened
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.plan.tree import ContractionTree

SIDE = 300
wasm = opened().backends["wasm"]
alone = copy(wasm)
alone.threads = None
tree = ContractionTree(
    inputs=(("i", "j"), ("j", "k"), ("k", "i")),
    output=(),
    dimensions=(("i", SIDE), ("j", SIDE), ("k", SIDE)),
    path=((0, 1), (3, 2)),
)
found = []
for dtype, factor in (("float32", 1), ("complex64", 2.0**50), ("float64", 2.0**-600)):
    program = lower_gradient(tree, dtype, (0, 1, 2))
    draw = np.random.default_rng(1)
    arrays = [(draw.integers(-3, 4, (SIDE, SIDE)) * factor).astype(dtype) for _ in range(3)]
    arrays.append(np.ones((), dtype))
    wanted = await alone.run(program, arrays, no_pulse)
    raw = await wasm.run(program, arrays, no_pulse)
    found.append({
        "threaded": any(known[0] is program for known in wasm.threads._loaded.values()),
        "same": [
            bool((one.value == other.value).all()) and one.log10_scale == other.log10_scale
            for one, other in zip((raw, *raw.kept), (wanted, *wanted.kept))
        ],
        "scaled": wanted.kept[0].log10_scale != 0,
    })
json.dumps(found)
"""


def test_slices_on_threads_give_the_numbers_of_one_thread(isolated: Page) -> None:
    if isolated.evaluate("navigator.hardwareConcurrency") < 2:
        pytest.skip("this machine has one core")
    _, found = python(isolated, SLICED)
    for one in found:
        assert one["prologue"] == 1
        assert one["threaded"]
        assert one["same"]
        assert one["stopped"]
        assert one["partial"] == [True]
        assert one["ordered"]


def test_gradients_on_threads_are_those_of_one_thread(isolated: Page) -> None:
    if isolated.evaluate("navigator.hardwareConcurrency") < 2:
        pytest.skip("this machine has one core")
    found = python(isolated, GRADIENTS)
    for one in found:
        assert one["threaded"]
        assert one["same"] == [True] * 4
    assert [one["scaled"] for one in found] == [False, False, True]
