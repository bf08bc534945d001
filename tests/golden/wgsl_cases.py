"""Kernels whose WGSL text is kept under ``golden/wgsl``: at least one per template and option."""

from __future__ import annotations

from tensorloom.assets import templates
from tensorloom.kernels.gpu import micro
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.wgsl import GpuLimits, Shader, Use, render
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
    cases.update(_forced(plain))
    arithmetic = micro.arithmetic(templates(), chains=2, threads=64, groups=4)
    moving = micro.copying(templates(), size := micro.GROUP_BYTES), micro.reading(templates(), size)
    for name, plan in zip(("arithmetic", "copy", "read"), (arithmetic, *moving), strict=True):
        cases[f"bench_{name}"] = plan.shaders[0]
    for shared in (False, True):
        plan = micro.again(templates(), shared=shared, threads=64, groups=4)
        cases["bench_shared" if shared else "bench_cached"] = plan.shaders[0]
    return {f"{name}.wgsl": shader.text for name, shader in cases.items()}


_LANES = GpuLimits(subgroup=4, software=True, small_mul_adds=0)
_FORCED = {
    "outer": ("outer 4x4/2x2", Use()),
    "line": ("line 1x3/8x1", Use()),
    "lanes": ("lanes 3x1", Use(scaled=False)),
    "lanes_scaled": ("lanes 2x2", Use()),
    "shared": ("shared 2x2/4x4 k8", Use(scaled=False, peaks=False)),
    "half": ("registers 2x2/4x4", Use(half=True)),
    "half_last": ("registers 2x2/4x4", Use(half=True, wide=True)),
    "split_partial": ("registers 2x2/4x4 split 2", Use()),
}


def _forced(plain: KernelSpec) -> dict[str, Shader]:
    """One text per family and option that no default of these shapes reaches."""
    made = {
        name: render(
            plain,
            templates(),
            _LANES,
            fixed=True,
            candidate=GpuCandidate.parse(text),
            use=use,
        )
        for name, (text, use) in _FORCED.items()
    }
    for name, candidate in {
        "lanes_complex": "lanes 3x2",
        "shared_complex": "shared 2x2/4x4 k4",
    }.items():
        made[name] = render(
            KernelSpec(dtype="complex64", batch=_BATCH, **_MATRICES),
            templates(),
            _LANES,
            fixed=False,
            candidate=GpuCandidate.parse(candidate),
        )
    then = made["split_partial"].then
    assert then is not None
    made["split_sum"] = then
    return made
