"""A team: threads on one shared memory that replay the records of a job together.

One thread leads, the others serve; all take records by an atomic counter, each with a workspace of
its own, so kernels are the same as everywhere. A job's counters are never reused while a server may
still look at them: a late one only finds that nothing is left, or takes a record of the next run of
the same job, which is as good.

Invariants: a job's ``done`` is set before its ``next``; a server counts itself ``busy`` before it
reads which job there is, so who frees a job's memory takes it from ``CONTROL`` and waits for 0. It
looks at the epoch after that job: one of a later epoch may call kernels that it was not told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import Local, atomic, i32, i64, load
from tensorloom.kernels.wasm.layout import RECORD_BYTES, RECORD_FIELDS
from tensorloom.kernels.wasm.magnitudes import looked_at, record_word

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Module

__all__ = ["CONTROL", "CONTROL_BYTES", "JOB", "JOB_BYTES", "define_team"]

CONTROL = {"generation": 0, "epoch": 4, "sleepers": 8, "job": 64, "busy": 128, "stopped": 132}
"""Where the team's words are; those that different threads write have cache lines of their own.
``stopped`` is for the page: a kernel stopped half way in a server, which counted its record done.
"""

CONTROL_BYTES = 192

JOB = {
    "next": 0,
    "done": 64,
    "outside": 68,
    "records": 128,
    "first": 132,
    "last": 136,
    "low": 144,
    "high": 152,
}
"""``next`` record to take, how many are ``done``, whether one left magnitudes ``outside`` of
``low .. high``; and which records."""

JOB_BYTES = 192

_SPINS = 30_000
"""Looks at a word before a thread lies down: about 50 us (Zen 4, Chromium 156)."""

_NAP_NS = 100_000
"""How long the leader sleeps at a time where a server was held up: nobody needs to wake it."""


def define_team(module: Module, signature: int, outside: Function) -> None:
    """Adds ``lead``, ``serve`` and ``nothing`` to the driver.

    ``lead(control, job, scratch, workspace)`` does a job with whoever serves; it returns whether
    magnitudes left the range. ``serve(control, epoch, scratch, workspace)`` helps with every job
    until the control's ``epoch`` is another. ``scratch`` is room for one record of this thread's.
    ``nothing(record)`` is a kernel for records that only have magnitudes looked at.
    """
    module.function("nothing", ("i32",))
    work = _define_work(module, signature, outside)
    _define_lead(module, work)
    _define_serve(module, work)


def _define_work(module: Module, signature: int, outside: Function) -> Function:
    """A function ``(job, scratch, workspace)``: takes records until none is left."""
    work = module.function(None, ("i32", "i32", "i32"))
    job, scratch, workspace = work.parameters
    records = work.variable(load("i32.load", job, JOB["records"]))
    last = work.variable(load("i32.load", job, JOB["last"]))
    number = work.variable(_taken(job))
    record = work.local("i32")

    with work.when(number < last), work.loop() as again:
        work.set(record, records + number * RECORD_BYTES)
        for at in range(0, RECORD_BYTES, 16):
            work.store("v128.store", scratch, load("v128.load", record, at), at)
        work.store("i32.store", scratch, workspace, RECORD_FIELDS["workspace"])
        work.call_indirect(signature, record_word(scratch, "slot"), scratch)
        with work.when(record_word(scratch, "check")):
            low, high = (load("f64.load", job, JOB[name]) for name in ("low", "high"))
            with work.when(work.value_of(outside, *looked_at(scratch), low, high)):
                work.atomic_store(job, 1, offset=JOB["outside"])
        work.drop(atomic("i32.atomic.rmw.add", job, 1, offset=JOB["done"]))
        work.set(number, _taken(job))
        work.branch(again, number < last)
    return work


def _taken(job: Local) -> Expression:
    return atomic("i32.atomic.rmw.add", job, 1, offset=JOB["next"])


def _define_lead(module: Module, work: Function) -> None:
    lead = module.function("lead", ("i32", "i32", "i32", "i32"), "i32")
    control, job, scratch, workspace = lead.parameters
    first = lead.variable(load("i32.load", job, JOB["first"]))
    wanted = lead.variable(load("i32.load", job, JOB["last"]) - first)
    lead.atomic_store(job, 0, offset=JOB["outside"])
    lead.atomic_store(job, 0, offset=JOB["done"])
    lead.atomic_store(job, first, offset=JOB["next"])
    lead.atomic_store(control, job, offset=CONTROL["job"])
    lead.drop(atomic("i32.atomic.rmw.add", control, 1, offset=CONTROL["generation"]))
    with lead.when(atomic("i32.atomic.load", control, offset=CONTROL["sleepers"])):
        lead.drop(atomic("memory.atomic.notify", control, -1, offset=CONTROL["generation"]))
    lead.call(work, job, scratch, workspace)
    done = lead.variable(atomic("i32.atomic.load", job, offset=JOB["done"]))
    spins = lead.local("i32")
    with lead.when(done.differs(wanted)), lead.loop() as again:
        lead.set(spins, spins + 1)
        with lead.when(spins > _SPINS):
            nap = atomic("memory.atomic.wait32", job, done, i64(_NAP_NS), offset=JOB["done"])
            lead.drop(nap)
        lead.set(done, atomic("i32.atomic.load", job, offset=JOB["done"]))
        lead.branch(again, done.differs(wanted))
    lead.give(atomic("i32.atomic.load", job, offset=JOB["outside"]))


def _define_serve(module: Module, work: Function) -> None:
    serve = module.function("serve", ("i32", "i32", "i32", "i32"))
    control, epoch, scratch, workspace = serve.parameters
    seen, job, spins = serve.local("i32"), serve.local("i32"), serve.local("i32")

    def now(name: str) -> Expression:
        return atomic("i32.atomic.load", control, offset=CONTROL[name])

    def count(name: str, step: int) -> None:
        serve.drop(atomic("i32.atomic.rmw.add", control, i32(step), offset=CONTROL[name]))

    with serve.loop() as again:
        serve.set(seen, now("generation"))
        count("busy", 1)
        serve.set(job, now("job"))
        # Not before the job: between the two the leader may end the epoch and post another job.
        with serve.when(now("epoch").differs(epoch)):
            count("busy", -1)
            serve.give()
        with serve.when(job):
            serve.call(work, job, scratch, workspace)
        count("busy", -1)
        serve.set(spins, 0)
        with serve.loop() as spinning:
            serve.set(spins, spins + 1)
            serve.branch(again, now("generation").differs(seen))
            serve.branch(spinning, spins < _SPINS)
        count("sleepers", 1)
        forever = i64(-1)
        serve.drop(
            atomic("memory.atomic.wait32", control, seen, forever, offset=CONTROL["generation"])
        )
        count("sleepers", -1)
        serve.branch(again)
