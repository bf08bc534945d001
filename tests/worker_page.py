"""The page before a heavy worker: how it is connected, what is sent, what the value card says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from worker_double import TOKEN

if TYPE_CHECKING:
    from workbench import Workbench
    from worker_double import WorkerDouble

__all__ = ["BIG", "RUN", "VALUE", "card", "connect", "link_to", "send", "send_it_there", "show_big"]

BIG = "ab,bc,cd,de,ea-> a=40000 b=40000 c=40000 d=30000 e=30000"
"""Needs 71 GB: no tab holds it."""

VALUE = 0.123456789

RUN = """async ({ address, token, backend }) => {
  const control = new AbortController();
  globalThis.told = [];
  globalThis.stopRun = () => control.abort();
  const onProgress = (news) => told.push(news);
  try {
    const worker = { address, token, backend };
    const { signal } = control;
    const result = await tensorloom.run({ backend: "worker", worker, onProgress, signal });
    return { ...result, kind: result.value.constructor.name, value: [...result.value] };
  } catch (error) {
    return { code: error.code, message: error.message };
  }
}"""
"""Runs what is shown on a worker; leaves its news in ``told`` and a way out in ``stopRun``."""


def link_to(address: str, token: str = TOKEN) -> str:
    return f"#worker={quote(address, safe='')}&token={token}"


def connect(bench: Workbench, double: WorkerDouble) -> None:
    """By a link, as a user who pastes it into the address bar."""
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to(double.address))
    bench.until("now.remote?.connection.kind === 'on'")


def show_big(bench: Workbench, text: str = BIG) -> None:
    bench.open(format="einsum", text=text)
    bench.until("now.plan?.refused && now.stale !== null && !now.behind")


def send(bench: Workbench, double: WorkerDouble, text: str = BIG) -> str:
    """The job of a drawing that was sent by the button."""
    show_big(bench, text)
    bench.page.get_by_role("button", name="Compute on the worker").click()
    bench.until("now.remote.current?.job")
    job: str = bench.state("now.remote.current.job.id")
    assert job in double.jobs
    return job


def send_it_there(bench: Workbench) -> None:
    """What fits the tab as well, computed on the worker by the user's own choice."""
    bench.settle()
    bench.page.get_by_role("button", name="Show this device").click()
    bench.page.get_by_role("radio", name="Worker").check()
    bench.page.keyboard.press("Escape")
    bench.page.get_by_role("button", name="Compute on the worker").click()


def card(bench: Workbench) -> str:
    """The value card's words, thin spaces as blanks."""
    return bench.page.locator(".tl-value").inner_text().replace("\u2009", " ")
