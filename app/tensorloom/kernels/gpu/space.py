"""The candidates for a kernel on a device: what is worth trying, in which order, what is cut.

The lite space: register tiles, tiles handed between lanes, staged tiles, dots, split sums, outer
products, outputs in a line, subgroup matrices; a few dozen in all. What cannot run is cut by the
device's limits, what cannot win by rules; each cut says its reason. Order is by a small model where
it is known what costs (simulated GPUs), by what won elsewhere otherwise; of a measured GPU, the
model's best comes before that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, prod
from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.gpu.candidate import MOST, GpuCandidate
from tensorloom.kernels.gpu.model import modelled_ms
from tensorloom.kernels.gpu.padding import padded_work, workgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import KernelSpec

__all__ = ["MOST_AXES", "Verdict", "default_candidate", "gpu_candidates", "survey", "why_not"]

MOST_AXES = 29
"""Axes that fit in the constants of one call."""

MOST_PADDING = 1.25
OUTER_SUM = 16
DOT_SIDE = 8
LINE_OUTPUTS = 16
"""Tiles of matrices of so few numbers leave lanes idle."""

LINE_THREADS = 16
"""Of a simulated GPU, which starts each four of them in turn: enough that starting a workgroup is
little beside them."""

MOST_SUMS = {True: 256, False: 64}
"""Outputs per invocation, by whether the adapter is simulated: more do not fit in registers, and
256 take 0.3 to 0.5 s to compile even there. Of a GPU that was measured, what its registers hold."""

SURE_SUMS = 16
"""So many are tried on any GPU: one that seemed to hold fewer may have been in use while it was
measured. What should not fit is tried last."""

SPLITS = (4, 16)
SHORT_SPLIT = 64
"""Products that each part of a cut sum should still have."""

_REGISTERS = ("2x4/16x8", "4x4/8x8", "4x4/16x16", "8x4/8x8", "4x8/8x8", "8x8/8x8", "8x8/8x4")
_REGISTERS_SIMULATED = ("4x4/4x1", "8x8/4x1", "16x8/4x1", "16x16/4x1")
_SHARED = (
    "4x4/8x8 k8",
    "4x4/8x8 k32",
    "4x4/16x16 k8",
    "4x4/16x16 k16",
    "8x8/8x8 k16",
    "8x8/8x8 k32",
    "8x4/16x16 k16",
    "4x8/16x16 k16",
    "8x8/16x16 k8",
    "4x4/16x8 k16",
)
_FIRST = ("registers 4x4/8x8", "shared 4x4/8x8 k8", "registers 8x8/8x8", "shared 8x8/8x8 k16")
"""What won most often on hardware (performance notes of llama.cpp, TVM and ours), tried first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A candidate and why it is not tried.

    Args:
        candidate: What.
        cut: The reason as the end of a sentence; empty for those that are tried.
        by_limit: Whether the device could not run it at all.
    """

    candidate: GpuCandidate
    cut: str = ""
    by_limit: bool = False


def gpu_candidates(spec: KernelSpec, limits: GpuLimits) -> tuple[GpuCandidate, ...]:
    """What is worth measuring, the most promising first; at least one."""
    left = [verdict.candidate for verdict in survey(spec, limits) if not verdict.cut]
    return tuple(left) or (default_candidate(spec, limits),)


def survey(spec: KernelSpec, limits: GpuLimits) -> tuple[Verdict, ...]:
    """Every candidate of the space in the order of trying, with the reason for each cut."""
    seen: dict[GpuCandidate, Verdict] = {}
    for candidate in _space(spec, limits):
        if candidate not in seen:
            reason = why_not(spec, candidate, limits)
            seen[candidate] = Verdict(
                candidate=candidate,
                cut=reason or _why_no_winner(spec, candidate, limits),
                by_limit=bool(reason),
            )
    verdicts = list(_without_hanging(spec, list(seen.values()), limits))
    left = [
        verdict
        for verdict in verdicts
        if not verdict.cut and not _spills(spec, verdict.candidate, limits)
    ]
    expected = None
    if left and _is_measured(limits):
        expected = min(left, key=lambda verdict: modelled_ms(spec, verdict.candidate, limits))
    verdicts.sort(key=lambda verdict: (verdict is not expected, _rank(spec, verdict, limits)))
    return tuple(verdicts)


def _without_hanging(
    spec: KernelSpec, verdicts: list[Verdict], limits: GpuLimits
) -> Iterator[Verdict]:
    """Cuts tiles that hang over the edges, but for those that should win all the same.

    Of small matrices, or where three columns meet lanes of four, every tile does.
    """
    padding = {
        verdict.candidate: padded_work(spec, verdict.candidate, limits) / max(1, spec.mul_adds)
        for verdict in verdicts
        if not verdict.cut
    }
    times = {candidate: modelled_ms(spec, candidate, limits) for candidate in padding}
    fitting = [
        times[candidate]
        for candidate in padding
        if padding[candidate] <= MOST_PADDING and not _spills(spec, candidate, limits)
    ]
    best = min(fitting, default=inf)
    for verdict in verdicts:
        hanging = padding.get(verdict.candidate, 0.0)
        if hanging > MOST_PADDING and times[verdict.candidate] >= best:
            reason = f"{hanging:.2f} times the work, as tiles hang over the edges"
            yield replace(verdict, cut=reason)
        else:
            yield verdict


def default_candidate(spec: KernelSpec, limits: GpuLimits, *, half: bool = False) -> GpuCandidate:
    """What the first answer uses: running time and the time to compile it weigh together.

    Raises:
        UnsupportedKernel: ``gpu-too-long``: no loop is long enough for its sum.
    """
    small = GpuCandidate(family="small")
    if spec.mul_adds <= limits.small_mul_adds and not why_not(spec, small, limits):
        return small
    able = [
        candidate
        for candidate in _defaults(spec, limits)
        if not why_not(spec, candidate, limits, half=half)
    ]
    if not able:
        raise UnsupportedKernel(
            "gpu-too-long",
            f"A sum of {spec.extents[3]} products is too long for one GPU kernel.",
            "Slice the network, or run it on the CPU.",
        )
    return min(able, key=lambda candidate: modelled_ms(spec, candidate, limits, with_compile=True))


def why_not(
    spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits, *, half: bool = False
) -> str:
    """Why a device cannot run a candidate for a kernel; empty if it can."""
    family = candidate.family
    contracted = spec.extents[3]
    threads = limits.subgroup if family == "lanes" else candidate.threads
    per_part = ceil(_cut_axis(spec, candidate) / candidate.splits)
    reasons = (
        (not candidate.is_sound, "its numbers do not fit together"),
        (
            threads > limits.workgroup_threads,
            f"{threads} invocations where {limits.workgroup_threads} are allowed",
        ),
        (
            workgroup_bytes(spec, candidate) > limits.workgroup_bytes,
            f"{workgroup_bytes(spec, candidate)} bytes of a workgroup's {limits.workgroup_bytes}",
        ),
        (
            family == "lanes" and (limits.subgroup < 4 or half),  # noqa: PLR2004  # quads
            "no subgroups of one known size" if not half else "lanes hand on 32-bit numbers",
        ),
        (family == "matrix", "no subgroup matrices" if not limits.matrices else "not yet rendered"),
        (family in {"lanes", "shared"} and spec.unary, "nothing to share between rows and columns"),
        (
            family == "small" and _n_axes(spec) > MOST_AXES,
            f"{_n_axes(spec)} axes where the call has room for {MOST_AXES}",
        ),
        (family == "outer" and contracted > OUTER_SUM, f"a sum of {contracted} is not written out"),
        (
            family in {"outer", "dot", "line", "small"} and candidate.splits > 1,
            "its sum is not cut",
        ),
        (half and candidate.splits > 1, "parts of a sum are kept in 32 bits"),
        (
            candidate.splits > 1
            and per_part * (candidate.splits - 1) >= _cut_axis(spec, candidate),
            "some parts of the sum would be empty",
        ),
        (
            _longest_loop(spec, candidate) > limits.most_iterations
            and not (family == "small" and spec.mul_adds <= limits.small_mul_adds),
            f"a loop longer than {limits.most_iterations} turns",
        ),
    )
    return next((reason for applies, reason in reasons if applies), "")


def workgroup_bytes(spec: KernelSpec, candidate: GpuCandidate) -> int:
    """Workgroup memory of a candidate [bytes]."""
    item = 8 if spec.dtype == "complex64" else 4
    if candidate.family == "dot":
        return candidate.across * item
    rows, columns = candidate.block(0)
    return candidate.depth * (rows + columns) * item


def _cut_axis(spec: KernelSpec, candidate: GpuCandidate) -> int:
    """Length of what a cut sum is cut along."""
    if candidate.family in {"shared", "matrix"}:
        return spec.extents[3]
    return max((axis.size for axis in spec.contracted), default=1)


def _longest_loop(spec: KernelSpec, candidate: GpuCandidate) -> int:
    """Turns of the loops of one invocation, all of them together."""
    contracted = spec.extents[3]
    if candidate.family == "dot":
        return ceil(contracted / candidate.across)
    if candidate.splits == 1 or candidate.family in {"shared", "matrix"}:
        return ceil(contracted / candidate.splits)
    cut = _cut_axis(spec, candidate)
    return contracted // cut * ceil(cut / candidate.splits)


def _n_axes(spec: KernelSpec) -> int:
    return sum(map(len, (spec.batch, spec.rows, spec.columns, spec.contracted)))


def _why_no_winner(  # noqa: PLR0911  # a rule each
    spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits
) -> str:
    """Why a candidate that could run is not worth measuring; empty if it is."""
    family = candidate.family
    _, rows, columns, contracted = spec.extents
    sums = _sums(spec, candidate)
    if sums > SURE_SUMS and _spills(spec, candidate, limits):
        return f"{sums} sums per invocation where {_most_sums(limits)} fit in registers"
    if limits.software and family in {"shared", "matrix"}:
        return "barriers cost a simulated GPU more than loads"
    if family == "dot" and min(rows, columns) > DOT_SIDE:
        return f"more than {DOT_SIDE} rows and columns keep invocations busy without"
    if family in {"shared", "matrix"} and contracted < 2 * candidate.depth:
        return f"a sum of {contracted} is too short to stage {candidate.depth} products at once"
    if candidate.splits > 1 and contracted // candidate.splits < SHORT_SPLIT:
        return f"parts of fewer than {SHORT_SPLIT} products"
    groups = workgroups(spec, candidate, limits)
    wanted = limits.wanted_groups
    if groups < wanted and candidate.splits == 1 and _could_spread(spec, candidate, limits):
        return f"{groups} workgroups where the device wants {wanted}"
    return ""


def _could_spread(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> bool:
    """Whether a smaller tile would give more workgroups."""
    smallest = replace(candidate, rows=1, columns=1)
    return workgroups(spec, smallest, limits) > workgroups(spec, candidate, limits)


def _rank(spec: KernelSpec, verdict: Verdict, limits: GpuLimits) -> tuple[int, bool, int, float]:
    """Survivors first, and of these what fits in registers; on hardware what won elsewhere."""
    text = verdict.candidate.text
    favourite = len(_FIRST)
    if not limits.software and text in _FIRST:
        favourite = _FIRST.index(text)
    state = 2 if verdict.by_limit else 1 if verdict.cut else 0
    spills = _spills(spec, verdict.candidate, limits)
    return state, spills, favourite, modelled_ms(spec, verdict.candidate, limits)


def _space(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """Everything there is to try, fitted to the kernel's edges."""
    yield GpuCandidate(family="small")
    yield from _tiles(spec, limits)
    for text in (*_REGISTERS, *(_REGISTERS_SIMULATED if limits.software else ())):
        yield GpuCandidate.parse(f"registers {text}")
    for text in _SHARED:
        yield GpuCandidate.parse(f"shared {text}")
    for text in ("1x1/64", "1x1/256", "1x4/64", "1x4/256", "4x1/64"):
        yield GpuCandidate.parse(f"dot {text}")
    for text in ("4x4/8x8", "4x8/8x8"):
        yield GpuCandidate.parse(f"outer {text}")
    for text in ("registers 4x4/8x8", "shared 4x4/8x8 k8"):
        for splits in SPLITS:
            yield GpuCandidate.parse(f"{text} split {splits}")
    for text in ("32x32/128 k16", "64x64/128 k16"):
        yield GpuCandidate.parse(f"matrix {text}")


def _tiles(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """Tiles fitted to the kernel: a matrix of 17 rows is two of 9, not one of 16 and a rest."""
    _, rows, columns, contracted = spec.extents
    lanes = limits.subgroup
    if lanes and not spec.unary:
        numbers = columns * (2 if spec.dtype == "complex64" else 1)
        for most_rows in (4, 8, 16, 32):
            for most_columns in (1, 2, 4, 8):
                tile = GpuCandidate(
                    family="lanes",
                    rows=_fitted(rows, most_rows),
                    columns=_fitted(ceil(numbers / lanes), most_columns),
                )
                yield tile
                # Few blocks leave cores idle, unless each takes a part of the sum.
                groups = workgroups(spec, tile, limits)
                if groups < limits.wanted_groups and contracted >= SHORT_SPLIT:
                    yield replace(tile, splits=ceil(limits.wanted_groups / groups))
    yield from _defaults(spec, limits)
    if contracted <= OUTER_SUM:
        for candidate in _defaults(spec, limits):
            if candidate.family == "registers" and candidate.splits == 1:
                yield replace(candidate, family="outer")


def _defaults(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """Register tiles and dots, which every device runs, and lanes where they are known."""
    _, rows, columns, _ = spec.extents
    lanes = limits.subgroup
    if lanes and not spec.unary:
        numbers = columns * (2 if spec.dtype == "complex64" else 1)
        for most_rows, most_columns in ((8, 4), (16, 4), (4, 2)):
            yield GpuCandidate(
                family="lanes",
                rows=_fitted(rows, most_rows),
                columns=_fitted(ceil(numbers / lanes), most_columns),
            )
    if not limits.software:
        # What workgroup memory is worth, and which tiles spill, is known where it was measured.
        usual = map(GpuCandidate.parse, _FIRST if _is_measured(limits) else _FIRST[:1])
        for tile in usual:
            if _sums(spec, tile) <= _most_sums(limits):
                yield tile
                if _is_measured(limits):
                    yield from _cut_sums(spec, tile)
    threads = 4 if limits.software else _usual_threads(limits)
    for most in _tile_sizes(limits):
        most_rows = max(1, most // 2) if spec.dtype == "complex64" else most
        for across in {1: (1,)}.get(columns, (threads, max(1, threads // 8))):
            tile_rows = _fitted(ceil(rows / (threads // across)), most_rows)
            tile_columns = _fitted(ceil(columns / across), most)
            yield GpuCandidate(
                family="registers",
                rows=tile_rows,
                columns=tile_columns,
                across=across,
                down=threads // across,
            )
    # Tiny kernels share one text: another for each takes longer to compile than it ever saves.
    if rows * columns <= LINE_OUTPUTS and spec.mul_adds > limits.small_mul_adds:
        yield from _lines(spec, limits)
    yield from _long_sums(spec, limits)


def _lines(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """Outputs in a row, for many small matrices, numbers of their own above all."""
    threads = LINE_THREADS if limits.software else _usual_threads(limits)
    outputs = prod(spec.extents[:3])
    for most in (1, 4, 8):
        columns = _fitted(ceil(outputs / threads), most)
        yield GpuCandidate(family="line", columns=columns, across=threads)


def _long_sums(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """A workgroup for each output where there are few, or where a loop would not do."""
    *outputs, contracted = spec.extents
    few = prod(outputs) <= FEW_OUTPUTS and contracted >= LONG_SUM
    if (limits.split and few) or contracted > limits.most_iterations:
        yield GpuCandidate(family="dot", across=DOT_THREADS)
    if contracted > DOT_THREADS * limits.most_iterations:
        yield from _in_short_parts(spec, limits)


def _in_short_parts(spec: KernelSpec, limits: GpuLimits) -> Iterator[GpuCandidate]:
    """Parts that fit in loops, of a sum that no workgroup can add up."""
    tile = GpuCandidate(family="registers", rows=1, columns=1, across=4, down=1)
    cut = _cut_axis(spec, tile)
    turns = spec.extents[3] // cut
    # In few products each, so that the device is busy; but there is room for so many parts only.
    part = max(LONG_PART // turns, ceil(cut / MOST["splits"]))
    part = min(part, limits.most_iterations // turns)
    if part:
        yield replace(tile, splits=ceil(cut / part))


def _cut_sums(spec: KernelSpec, tile: GpuCandidate) -> Iterator[GpuCandidate]:
    """The same with its sum cut in parts, for few blocks that would leave a GPU idle."""
    for splits in SPLITS:
        if spec.extents[3] // splits >= SHORT_SPLIT:
            yield replace(tile, splits=splits)


def _is_measured(limits: GpuLimits) -> bool:
    """Whether the model knows this GPU, not GPUs as such."""
    return not limits.software and limits.speeds.sums is not None


def _sums(spec: KernelSpec, candidate: GpuCandidate) -> int:
    """Numbers that an invocation adds up side by side."""
    return candidate.rows * candidate.columns * (2 if spec.dtype == "complex64" else 1)


def _spills(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> bool:
    """Whether its sums should not fit in registers; those of a dot are few."""
    return candidate.family != "dot" and _sums(spec, candidate) > _most_sums(limits)


def _most_sums(limits: GpuLimits) -> int:
    known = None if limits.software else limits.speeds.sums
    return min(MOST_SUMS[limits.software], known or MOST_SUMS[limits.software])


def _tile_sizes(limits: GpuLimits) -> list[int]:
    """Most rows and columns of the register tiles among which the first one is chosen."""
    if _is_measured(limits):
        return [size for size in (1, 2, 4, 8) if size * size <= _most_sums(limits)]
    return [size for size in (1, 2, 4, 8) if size <= limits.largest_tile]


def _usual_threads(limits: GpuLimits) -> int:
    """Threads of a workgroup on hardware: 64, or more where fewer would leave lanes idle."""
    return min(max(64, limits.speeds.threads or 0), limits.workgroup_threads)


DOT_THREADS = 64
LONG_PART = 4096
"""Products in a part of a sum that is too long for a workgroup of ``DOT_THREADS``."""

FEW_OUTPUTS, LONG_SUM = 4096, 256
"""At most this many outputs with at least this long sums are worth a workgroup each."""


def _fitted(size: int, most: int) -> int:
    """The smallest tile that needs no more tiles than the largest one."""
    return max(1, ceil(size / ceil(size / most)))
