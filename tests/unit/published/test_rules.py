"""Device rules: the lab's counts, each rule by itself, and mutations that must be noticed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import published_rules as rules
from published_devices import NAMED, PublishedDevice, PublishedGpu
from published_rules import cpu_survivors, gpu_survivors
from published_space import LiteCandidate, lite_space
from tensorloom.tune.device import CpuFacts

DESKTOP = CpuFacts(vector_registers=16, l1_bytes=32_768)
RTX = NAMED["RTX-class GPU"].gpu
assert RTX is not None


def test_five_survive_on_a_desktop() -> None:
    kept = cpu_survivors(DESKTOP).kept
    assert [candidate.text for candidate in kept] == [
        "16x256x16 4x8",
        "32x128x32 4x8",
        "64x64x64 4x8",
        "128x32x128 4x8",
        "256x16x256 4x8",
    ]


@pytest.mark.parametrize("record", NAMED.values(), ids=lambda record: record.name)
def test_every_named_record_leaves_few(record: PublishedDevice) -> None:
    most = 200 if record.cpu.l1_bytes else 260
    assert 0 < len(cpu_survivors(record.cpu).kept) <= most


def test_without_the_cache_rule_a_phone_keeps_252() -> None:
    assert len(cpu_survivors(NAMED["Pixel 4 XL"].cpu).kept) == 252


def test_each_cpu_rule_can_be_switched_off() -> None:
    assert len(cpu_survivors(DESKTOP, off={"registers", "cache"}).kept) == 3_388
    only_cache = cpu_survivors(DESKTOP, off={"registers"})
    only_registers = cpu_survivors(DESKTOP, off={"cache"})
    assert set(cpu_survivors(DESKTOP).kept) == set(only_cache.kept) & set(only_registers.kept)
    assert set(only_cache.cut) == {"cache"}
    assert len(only_registers.kept) == 7 * 7 * 6


def test_what_was_cut_and_what_was_kept_are_all() -> None:
    for found, total in ((cpu_survivors(DESKTOP), 3_388), (gpu_survivors(RTX), 6_776)):
        assert len(found.kept) + sum(found.cut.values()) == total


def test_a_rule_says_nothing_without_its_number() -> None:
    assert len(cpu_survivors(CpuFacts()).kept) == 3_388


def test_gpu_survivors_by_hand() -> None:
    kept = gpu_survivors(RTX).kept
    assert kept
    for candidate in kept:
        threads = (candidate.mb // candidate.mr) * (candidate.nb // candidate.nr)
        assert candidate.mr == candidate.nr
        assert not candidate.vector
        assert 16 <= threads <= 256
        assert 4 * candidate.kb * (candidate.mb + candidate.nb) <= 16 * 1024
        registers = (2 * candidate.mr + candidate.mr**2) * threads
        by_registers = 65_536 // registers
        assert by_registers <= 16
        assert by_registers <= 65_536 // candidate.block_bytes
        assert by_registers <= 1024 // threads


def test_what_breaks_a_limit_is_shown_as_cut_by_the_limit() -> None:
    raised = gpu_survivors(replace(RTX, max_invocations=1024, max_storage_bytes=65_536))
    default = gpu_survivors(RTX)
    assert default.cut["limits"] == len(raised.kept) - len(default.kept) > 0
    assert max(candidate.invocations for candidate in raised.kept) > 256


def test_limits_cannot_be_switched_off() -> None:
    everything = {*rules.GPU_RULES}
    kept = gpu_survivors(PublishedGpu(), off=everything).kept
    assert all(candidate.invocations <= 256 for candidate in kept)


def test_512_threads_are_cut_not_tried() -> None:
    candidate = LiteCandidate(mb=128, kb=8, nb=64, mr=4, nr=4)
    assert candidate.invocations == 512
    assert rules.GPU_RULES["limits"](candidate, PublishedGpu()) == (
        "512 threads exceed the limit of 256"
    )


# --- "break it": what the counts above would catch ------------------------------------------------


def test_dropping_the_register_rule_is_noticed() -> None:
    assert len(cpu_survivors(DESKTOP, off={"registers"}).kept) > 5


def test_a_cache_rule_that_multiplies_sides_is_noticed() -> None:
    wrong = Counter(
        0.9 * 32_768 <= 4 * candidate.mb * candidate.nb <= 32_768
        and 12.8 <= candidate.vector_registers <= 16
        for candidate in lite_space()
    )
    assert wrong[True] != 5
