"""The page and a heavy worker in Firefox and in WebKitGTK: connected, sent there, shown here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest
from worker_harness import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.story import Story

pytestmark = pytest.mark.engines

COMPUTED = """
() => new Promise((resolve, reject) => {
  const started = performance.now();
  const look = () => {
    const { result, stale, remote, toasts } = tensorloomStore.get();
    if (toasts.length > 0) reject(new Error(toasts[0].error.message));
    else if (result?.backend === "worker" && stale === null && !remote.fetching) resolve(result);
    else if (performance.now() - started > 100000) reject(new Error("no value within 100 s"));
    else setTimeout(look, 20);
  };
  look();
})
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(folder=tmp_path_factory.mktemp("worker") / "data").start()
    yield process
    process.stop()


def test_a_worker_is_connected_in_the_panel_and_computes_what_is_drawn(
    story: Story, worker: Process
) -> None:
    # What a worker prints that was here before: the link without the token.
    link = f"#worker={quote(worker.address, safe='')}"
    story.engine.evaluate("(hash) => { location.hash = hash; }", link)
    story.wait_for(".tl-worker-form")
    story.engine.click(story.centre(".tl-worker-form input[type=password]"))
    story.engine.type(f"{worker.token}\n")
    story.wait_for(".tl-worker-state [role=status]", f"Connected to {worker.address[7:]}")
    story.engine.click(story.centre(".tl-dialog .tl-icon-button"))

    random = np.random.default_rng(5)
    arrays = [random.normal(size=shape) for shape in [(70, 80), (80, 90), (90, 70)]]
    given = [{"shape": list(one.shape), "data": one.ravel().tolist()} for one in arrays]
    story.open(format="einsum", text="ij,jk,ki->", arrays=given)
    story.live()
    story.engine.click(story.centre(".tl-pill"))
    story.press("Worker")
    story.engine.click(story.centre(".tl-pill"))
    story.press("Compute on the worker")
    shown = story.engine.evaluate(COMPUTED)
    wanted = float(np.einsum("ij,jk,ki->", *arrays, optimize=True))
    assert shown["scalar"] == pytest.approx([wanted, 0], rel=1e-10)
    assert "Worker, f64" in "".join(story.texts(".tl-value"))
    assert story.engine.problems() == []
