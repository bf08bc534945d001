"""The value that follows the drawing: plan, predict, refuse or run, report; newest document first.

One task works through what changed last; a newer document interrupts it at its next pulse. While a
gesture is in the air only what should take less than 50 ms is computed, the rest waits for release.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.errors import Cancelled, TensorloomError
from tensorloom.execute.arrays import arrays_of
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.backends import available
from tensorloom.execute.candidates import most_elements
from tensorloom.execute.choices import Choices
from tensorloom.execute.feedback import Feedback
from tensorloom.execute.microbench import clock_tick_ms
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.plan.find import quick, recosted, unsliced, with_path
from tensorloom.plan.sharing import rank
from tensorloom.view.idle_time import IdleTime, giving_way, seems_first
from tensorloom.view.kernels import KernelDesk
from tensorloom.view.progress import RunProgress
from tensorloom.view.records import error_notice, plan_json, result_json
from tensorloom.view.search_desk import SearchDesk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tensorloom.execute.arrays import ArrayStore
    from tensorloom.execute.backend import Backend, BackendName, Pulse, Result
    from tensorloom.execute.backends import Available
    from tensorloom.execute.run import BackendChoice, Choice
    from tensorloom.execute.tuning import Tuner
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["LiveValue"]

DRAG_MS = 50.0
"""Longest predicted run while a gesture is in the air [ms]."""

ASK_MS = 20_000.0
"""Runs predicted to take longer wait until they are asked for [ms]."""

KEPT_S = 0.3
"""The first value waits so long for what earlier visits have left, once devices are known [s]."""

MOST_CHOICES = 4
"""Where plans ran last; asked for again, they find their program and all that belongs to it."""

WORTH_SEARCHING_MUL_ADDS = 2 * 10**7
"""Plans from this cost on are searched further by themselves."""

Notice = dict[str, object]


class LiveValue:
    """Keeps plan and value of one document fresh.

    Args:
        notify: Takes notices for the page.
        store: Where stored arrays are.

    Attributes:
        result: The last value, if any.
        result_indices: Names of its axes.
        plan: The tree that is shown.
        search: Looks for a better one.
        kernels: What the Kernels view asks.
        idle_time: What is done between results.
    """

    def __init__(self, notify: Callable[[Notice], None], store: ArrayStore) -> None:
        self._notify = notify
        self._store = store
        self._found: Available | None = None
        self._finding = asyncio.Lock()
        self._document: Document | None = None
        self._dragging = False
        self._stale = False
        self._unsettled = False
        self._generation = 0
        self._working = 0
        self._answered = 0
        self._asked = 0
        self._stopped = 0
        self._progress: RunProgress | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._backend: BackendChoice = "auto"
        self._dtype: DType | None = None
        self._slicing = False
        self._elsewhere = False
        self._taken: tuple[Network, DType] | None = None
        self._feedback = Feedback()
        self._choices = Choices(most=MOST_CHOICES)
        self.plan: Plan | None = None
        self._shown: Plan | None = None
        self.result: Result | None = None
        self.result_indices: tuple[str, ...] = ()
        self.search = SearchDesk(notify, lambda: self._shown, self._adopt)
        self.kernels = KernelDesk(notify)
        self.idle_time = IdleTime(
            self.kernels,
            self._lock,
            self._idle,
            lambda: (self._here.backends, self.result),
            self._time_again,
            notify,
        )
        self._tuned_last: tuple[Choice, Result] | None = None
        self._ran: tuple[Choice, Result] | None = None
        self._busy = False
        self._calls = 0

    # --- what the session asks ----------------------------------------------------------------

    def show(self, document: Document, *, dragging: bool, anew: bool = False) -> None:
        """Bring plan and value up to a document, soon."""
        old = self._document
        same = old is not None and (old.network, old.dtype) == (document.network, document.dtype)
        self._document, self._dragging = document, dragging
        if same and not anew and not self._stale and (dragging or not self._unsettled):
            return
        if anew:
            self._asked = self._generation + 1
        self._generation += 1
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    def choose(
        self,
        backend: BackendChoice,
        dtype: DType | None,
        *,
        slicing: bool,
        elsewhere: bool = False,
    ) -> None:
        """Compute there and in this type from now on; ``None`` is the document's own.

        Args:
            backend: Where.
            dtype: Element type.
            slicing: Whether this network may be sliced where it would not fit.
            elsewhere: Whether the page has runs done by a heavy worker: here is only planned.
        """
        self._elsewhere = elsewhere
        self._backend, self._dtype = backend, dtype
        self._slicing = self._slicing or slicing

    @property
    def behind(self) -> bool:
        """Whether the drawing changed since the last value, or word that there is none."""
        return self._answered != self._generation

    def cancel(self) -> None:
        """Stop the run in progress."""
        self._stopped = self._generation

    async def take_up(self, result: Result, document: Document) -> None:
        """Show a value that was computed elsewhere as that of a document.

        Args:
            result: The value.
            document: What it is the value of.
        """
        self.cancel()
        async with self._lock:
            self._take(result, document)
            self._taken = document.network, document.dtype

    async def run_now(
        self,
        backend: BackendChoice,
        dtype: DType | None,
        pulse_for: Callable[[int], Pulse] | None = None,
    ) -> Result:
        """The value of what is shown, computed now; nothing is predicted away.

        Args:
            backend: Where.
            dtype: Element type; ``None`` is the document's own.
            pulse_for: Makes the pulse for a run of so much work [multiply-adds].

        Raises:
            TensorloomError: What planning, making arrays or running refuses.
        """
        document = self._document
        assert document is not None
        wanted = dtype or document.dtype
        await self.find_devices()
        self._calls += 1
        try:
            async with self._lock:
                plan = self._planned(document.network)
                choice = self._choice(plan, backend, wanted, slicing=True)
                pulse = pulse_for(choice.attempts[0].program.mul_adds) if pulse_for else no_pulse
                # Who waited for the turn may have given up meanwhile.
                await pulse(0)
                arrays = arrays_of(document.network, wanted, self._store)
                result = await run(choice, arrays, pulse=pulse)
        finally:
            self._calls -= 1
            self.idle_time.go_on()
        self._take(result, document)
        self._tune_after(choice, result)
        return result

    @asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[Tuner | None]:
        """The page's tuner for the block; nothing runs and nothing else is tuned meanwhile."""
        await self.find_devices()
        self._calls += 1
        try:
            async with self._lock:
                await self.kernels.at_rest()
                yield self.kernels.tuner
        finally:
            self._calls -= 1
            self.idle_time.go_on()

    def compute_at_once(self, document: Document) -> None:
        """Plan and value by numpy, without an event loop; for building the page."""
        self._document = document
        only: Mapping[BackendName, Backend] = {"numpy": NumpyBackend()}
        plan = self._planned(document.network)
        choice = prepare(plan, backends=only, dtype=document.dtype)
        self._say_plan(document, plan, choice)
        arrays = arrays_of(document.network, document.dtype, self._store)
        self._take(drive(run(choice, arrays)), document)
        # The page's own device computes it again as soon as it is there.
        self._document = None

    async def find_devices(self) -> Available:
        """The devices, found when first asked for: a heap snapshot must not hold any."""
        # Who asks meanwhile waits too: the tuner is there with the devices, or not at all.
        async with self._finding:
            if self._found is None:
                reading = asyncio.ensure_future(self.kernels.kept())
                found = await available()
                # A browser's storage may never answer, such as while another page holds it up.
                await asyncio.wait({reading}, timeout=KEPT_S)
                kept = reading.result() if reading.done() else None
                tick_ms = self.idle_time.tick_ms = clock_tick_ms(perf_counter)
                self._feedback = Feedback(tick_ms=tick_ms)
                self.kernels.devices(found, kept, silent=not reading.done())
                reading.cancel()
                self._found = found
        return self._found

    @property
    def _here(self) -> Available:
        assert self._found is not None
        return self._found

    # --- planning -----------------------------------------------------------------------------

    def _planned(self, network: Network) -> Plan:
        """The plan for a network: the same tree while only sizes change."""
        kept = recosted(self.plan, network) if self.plan is not None else None
        if kept is None:
            self.search.stop()
            self._slicing = False
            kept = quick(network)
        elif kept.tree.sliced:
            kept = self._whole_again(kept)
        elif kept is not self.plan and kept.finder == "optimal":
            self._unsettled = True
        if self._unsettled and not self._dragging:
            # Small enough to prove again in milliseconds, now that the sizes are settled.
            self._unsettled = False
            kept = quick(network)
        if kept is not self.plan:
            self.plan = self._shown = kept
        return kept

    def _whole_again(self, plan: Plan) -> Plan:
        """The plan without its slices, if it has come to fit without."""
        assert self._document is not None
        whole = unsliced(plan)
        too_big, _ = rank(whole, self._most_elements(self._document))
        return plan if too_big else whole

    def _most_elements(self, document: Document) -> int | None:
        """What a plan may hold here; unknown before the devices are [elements]."""
        if self._found is None:
            return None
        return most_elements(self._here.backends, self._backend, self._dtype or document.dtype)

    def _say_plan(
        self,
        document: Document,
        plan: Plan,
        choice: Choice | None,
        refused: TensorloomError | None = None,
    ) -> None:
        self._shown = plan
        first = choice.attempts[0] if choice else None
        record = plan_json(
            plan,
            document.network,
            first.program.dtype if first else self._dtype or document.dtype,
            backend=first.backend.name if first else None,
            predicted_ms=first.predicted_ms if first else None,
            refused=refused,
        )
        self._notify({"kind": "plan", "plan": record})

    def start_search(self) -> None:
        """Look for a better tree in a worker of its own."""
        if self._document is not None and self._shown is not None:
            self.search.start(self._shown, self._most_elements(self._document))

    def _adopt(self, path: list[list[int]], sliced: list[str], finder: Any) -> bool:  # noqa: ANN401  # from JSON
        """Whether a path found elsewhere is better for the network as it is now."""
        document = self._document
        if document is None or self._shown is None:
            return False
        # An edit may not be planned yet: what is shown, and was searched, is of the one before.
        shown = recosted(self._shown, document.network)
        if shown is None:
            return False
        found = with_path(document.network, path, finder=finder, sliced=tuple(sliced))
        most = self._most_elements(document)
        if rank(found, most) >= rank(shown, most):
            return False
        self.plan = self._shown = found
        if self._stale:
            self.show(document, dragging=self._dragging)
        else:
            self._say_prepared(document, found)
        return True

    # --- running ------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._busy = True
        try:
            await self._work_through()
        finally:
            self._busy = False
        last, self._tuned_last = self._tuned_last, None
        if last is None:
            return
        try:
            self._tune_after(*last)
        except Exception as error:  # noqa: BLE001  # our bug must reach the user
            self._notify(error_notice(error))

    async def _work_through(self) -> None:
        done = -1
        while done != self._generation:
            done = self._working = self._generation
            document = self._document
            assert document is not None
            try:
                await self.find_devices()
                async with self._lock:
                    await self._bring_up(document, done)
            except Cancelled as stop:
                if done == self._generation:
                    self._wait(stop.message)
            except Exception as error:  # noqa: BLE001  # a page that hears nothing waits for ever
                notice = error_notice(error)
                self._wait(str(notice["error"]["message"]))
                self._notify(notice)

    def _wait(self, message: str) -> None:
        self._stale = True
        self._taken = None
        self._answered = self._working
        partial = self._progress.partial if self._progress else None
        self._progress = None
        self._notify(
            {"kind": "stale", "message": message, "behind": self.behind, "partial": partial}
        )

    def _say_prepared(self, document: Document, plan: Plan) -> Choice | None:
        try:
            # A search has sliced it already, but a device may need more than was counted.
            slicing = self._slicing or bool(plan.tree.sliced)
            dtype = self._dtype or document.dtype
            choice = self._choice(plan, self._backend, dtype, slicing=slicing)
        except TensorloomError as error:
            self._say_plan(document, plan, None, error)
            if self._taken != (document.network, document.dtype):
                self._wait(error.message)
            return None
        self._say_plan(document, choice.attempts[0].plan, choice)
        return choice

    def _choice(self, plan: Plan, backend: BackendChoice, dtype: DType, *, slicing: bool) -> Choice:
        """Where a plan runs; asked again, the same: lowering a circuit takes 0.1 s here."""

        def make() -> Choice:
            return prepare(
                plan,
                backends=self._here.backends,
                missing=self._here.missing,
                backend=backend,
                dtype=dtype,
                allow_slicing=slicing,
                feedback=self._feedback,
                lowering=self._choices.lowered,
            )

        return self._choices.get(plan, (backend, dtype, slicing), self._here.backends, make)

    async def _bring_up(self, document: Document, generation: int) -> None:
        plan = self._planned(document.network)
        choice = self._say_prepared(document, plan)
        if choice is None:
            self._search_if_worth_it(plan)
            return
        if self._elsewhere:
            self._wait("Waiting for you: the worker computes this one")
            self._search_if_worth_it(plan)
            return
        predicted = choice.attempts[0].predicted_ms
        if self._dragging and predicted > DRAG_MS:
            self._wait("Release to compute")
            return
        if predicted > ASK_MS and self._asked != generation:
            self._wait("Waiting for you: this one takes long")
            self._search_if_worth_it(plan)
            return
        dtype = self._dtype or document.dtype
        arrays = arrays_of(document.network, dtype, self._store)
        pulse = self._progress = self._pulse(generation, choice.attempts[0].program.mul_adds)
        result = await run(choice, arrays, pulse=pulse)
        self._take(result, document)
        self._tuned_last = choice, result
        self._search_if_worth_it(plan)

    def _tune_after(self, choice: Choice, result: Result) -> None:
        """Looks for better kernels for what just ran, until somebody wants something."""
        self.kernels.ran(choice, result)
        self._ran = choice, result
        self.idle_time.go_on()

    async def _time_again(self) -> None:
        """Tells how long a drag will take: the first run of a network compiled its kernels."""
        ran, self._ran = self._ran, None
        document = self._document
        if ran is None or document is None or ran[1] is not self.result:
            return
        choice, result = ran
        if not seems_first(result):
            return
        arrays = arrays_of(document.network, result.dtype, self._store)
        async with self._lock:
            again = await run(choice, arrays, pulse=giving_way(self._idle))
        if self.result is result and self._document is document:
            self._take(again, document)
            self.kernels.ran(choice, again)

    def _idle(self) -> bool:
        return not self._busy and not self._calls and not self._dragging

    def _search_if_worth_it(self, plan: Plan) -> None:
        worth = plan.cost.mul_adds >= WORTH_SEARCHING_MUL_ADDS and plan.finder == "greedy"
        if worth and not self._dragging and not self.search.running:
            self.start_search()

    def _take(self, result: Result, document: Document) -> None:
        self._stale = False
        self._taken = None
        self._progress = None
        self._answered = self._working
        self.result, self.result_indices = result, document.network.output
        shown = result_json(result, self.result_indices)
        self._notify({"kind": "result", "result": shown, "behind": self.behind})

    def _pulse(self, generation: int, total: int) -> RunProgress:
        """Progress for the page; lets its messages in and stops for a newer document."""

        def stopped() -> Cancelled | None:
            if self._stopped == generation:
                return Cancelled("cancelled", "Stopped. The value is that of an earlier drawing.")
            if self._generation != generation:
                return Cancelled("superseded", "A newer drawing took over.")
            return None

        return RunProgress(total, self._notify, stopped)
