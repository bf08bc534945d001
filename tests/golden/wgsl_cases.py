"""Kernels whose WGSL text is kept under ``golden/wgsl``: at least one per template and option."""

from __future__ import annotations

from tensorloom.assets import templates
from tensorloom.kernels.gpu.wgsl import GpuLimits, render
from tensorloom.kernels.program import KernelSpec, LoopAxis

FOLDER = "wgsl"

_OWN = GpuLimits(min_groups=0, small_mul_adds=0)
_MATRICES = {
    "rows": (LoopAxis(size=5, left=7, right=0, out=11),),
    "columns": (LoopAxis(size=11, left=0, right=1, out=1),),
    "contracted": (LoopAxis(size=7, left=1, right=11, out=0),),
}
_BATCH = (LoopAxis(size=3, left=35, right=77, out=55),)
_LONG = (LoopAxis(size=300, left=1, right=1, out=0),)


def texts() -> dict[str, str]:
    """File names and what they must hold."""
    plain = KernelSpec(dtype="float32", **_MATRICES)
    cases = {
        "matrices": render(plain, templates(), _OWN, fixed=True),
        "matrices_sliced": render(plain, templates(), _OWN, fixed=False),
        "complex_batch": render(
            KernelSpec(dtype="complex64", batch=_BATCH, **_MATRICES),
            templates(),
            _OWN,
            fixed=True,
        ),
        "transpose": render(
            KernelSpec(
                dtype="float32",
                rows=(
                    LoopAxis(size=3, left=1, right=0, out=4),
                    LoopAxis(size=4, left=3, right=0, out=1),
                ),
                unary=True,
            ),
            templates(),
            _OWN,
            fixed=True,
        ),
        "dot": render(KernelSpec(dtype="float32", contracted=_LONG), templates(), _OWN, fixed=True),
        "complex_sum": render(
            KernelSpec(
                dtype="complex64",
                contracted=(LoopAxis(size=300, left=1, right=0, out=0),),
                unary=True,
            ),
            templates(),
            _OWN,
            fixed=True,
        ),
        "tiny": render(plain, templates(), GpuLimits(), fixed=True),
        "tiny_complex_sum": render(
            KernelSpec(
                dtype="complex64",
                contracted=(LoopAxis(size=300, left=1, right=0, out=0),),
                unary=True,
            ),
            templates(),
            GpuLimits(),
            fixed=True,
        ),
    }
    return {f"{name}.wgsl": shader.text for name, shader in cases.items()}
