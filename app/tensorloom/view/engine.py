"""What this browser engine lacks and what stands in for it, in words."""

from __future__ import annotations

import json

from tensorloom.platform import IN_BROWSER

__all__ = ["replaced"]

STAND_INS = {
    "jspi": "No JSPI: Python waits for the GPU through callbacks.",
    "webgpu": "No WebGPU: everything runs on the CPU.",
    "simd": "No WASM SIMD: numpy computes.",
    "relaxedSimd": "No relaxed SIMD: products and sums are rounded separately.",
}
"""Ability of the engine -> what is said when it is missing."""


def replaced() -> tuple[str, ...]:
    """One sentence per thing that is missing; none outside the browser."""
    if not IN_BROWSER:
        return ()
    import tensorloom_page  # noqa: PLC0415  # a module that only the page has

    features = json.loads(tensorloom_page.features)
    said = [sentence for ability, sentence in STAND_INS.items() if not features[ability]]
    if not features["snapshot"]:
        reason = features["snapshotReason"]
        said.append(f"Started without the snapshot{f': {reason}' if reason else ''}.")
    return tuple(said)
