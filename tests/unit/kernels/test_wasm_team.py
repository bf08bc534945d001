"""A helper of a team, stopped before each of its atomic instructions while its leader goes on."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
import wasmtime

from tensorloom.kernels.wasm import driver, team
from tensorloom.kernels.wasm.assembler import Expression, atomic, i32
from tensorloom.kernels.wasm.instructions import unsigned_leb
from tensorloom.kernels.wasm.layout import RECORD_BYTES
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tensorloom.kernels.wasm.assembler import Function, Module

HOOK, KERNEL = 1, 2
"""Entries of the helper's table: what is called before each atomic, and the job's kernel."""

MOVES = 5
"""Of a leader that frees a program and leads one with a kernel in the freed entry."""

WINDOW = 7
"""Atomics of a helper's first look for a job, and one more."""


class Stopped:
    """A helper that serves epoch 1 while its leader makes moves between its atomics."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = WasmtimeHost(pages=16)

        def define_team(module: Module, signature: int, outside: Function) -> None:
            call = i32(0).code + i32(HOOK).code + b"\x11" + unsigned_leb(signature) + b"\x00"

            def hooked(name: str, *operands: Any, offset: int = 0) -> Expression:
                plain = atomic(name, *operands, offset=offset)
                return Expression(plain.type, call + plain.code)

            monkeypatch.setattr(team, "atomic", hooked)
            team.define_team(module, signature, outside)

        monkeypatch.setattr(driver, "define_team", define_team)
        self.driver = self.host.start(driver.driver_module(team=True))
        self.calls: list[int] = []
        self.atomics = 0
        self.leader: Iterator[None] = iter(())
        self.due: list[int] = []
        self._enter(HOOK, self._before)
        self._enter(KERNEL, self.calls.append)
        self.control = self.host.placed(np.zeros(team.CONTROL_BYTES // 4, np.int32))
        self.job = self.host.placed(np.zeros(team.JOB_BYTES // 4, np.int32))
        self.record = self.host.placed(np.zeros(RECORD_BYTES // 4, np.int32))
        self.scratch = self.host.placed(np.zeros(RECORD_BYTES // 4, np.int32))
        self.record[0] = KERNEL

    def serve(self, leader: Iterator[None], due: list[int]) -> None:
        """Serves epoch 1; before the n-th atomic the leader makes as many moves as are due by n."""
        self.leader, self.due, self.atomics = leader, sorted(due), 0
        self.calls.clear()
        self.control[:] = 0
        self.control[team.CONTROL["epoch"] // 4] = 1
        address = self.host.address
        self.driver.serve(address(self.control), 1, address(self.scratch), 0)

    def told(self) -> Iterator[None]:
        """A leader that frees what there is, tells of another kernel, and leads its job."""
        words = self.control
        words[team.CONTROL["job"] // 4] = 0
        yield
        while words[team.CONTROL["busy"] // 4]:
            yield
        words[team.CONTROL["epoch"] // 4] = 2
        yield
        words[team.CONTROL["generation"] // 4] += 1
        yield
        yield from self.led()

    def led(self) -> Iterator[None]:
        """A leader that has told of all kernels."""
        words = {"next": 0, "done": 0, "records": self.host.address(self.record), "last": 1}
        for name, value in words.items():
            self.job[team.JOB[name] // 4] = value
        self.control[team.CONTROL["job"] // 4] = self.host.address(self.job)
        yield
        self.control[team.CONTROL["generation"] // 4] += 1
        yield

    def _before(self, _nothing: int) -> None:
        while self.due and self.due[0] <= self.atomics:
            self.due.pop(0)
            next(self.leader, None)
        if not self.due:
            # Waiting for a helper takes moves; nobody stays half way.
            next(self.leader, None)
        self.atomics += 1

    def _enter(self, slot: int, function: Any) -> None:
        kind = wasmtime.FuncType([wasmtime.ValType.i32()], [])
        host = self.host
        host._table.set(host._store, slot, wasmtime.Func(host._store, kind, function))


def test_a_helper_never_runs_a_kernel_it_was_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = Stopped(monkeypatch)
    for due in combinations_with_replacement(range(WINDOW), MOVES):
        helper.serve(helper.told(), list(due))
        assert not helper.calls, f"stale kernel with the leader's moves before atomics {due}"
        assert helper.control[team.CONTROL["busy"] // 4] == 0


def test_a_helper_takes_the_jobs_of_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = Stopped(monkeypatch)

    def leader() -> Iterator[None]:
        yield from helper.led()
        while not helper.job[team.JOB["done"] // 4]:
            yield
        yield from helper.told()

    for due in combinations_with_replacement(range(WINDOW), 2):
        helper.job[:] = 0
        helper.serve(leader(), list(due))
        assert helper.calls == [helper.host.address(helper.scratch)]
