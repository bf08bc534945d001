"""Jobs of the page: sent by the button, seen at work, landed as the value of their own drawing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from page_state import until
from worker_page import VALUE, card, connect, send, show_big

if TYPE_CHECKING:
    from workbench import Workbench
    from worker_double import WorkerDouble


def test_the_button_sends_what_does_not_fit_and_the_value_lands(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    show_big(bench)
    bench.page.get_by_role("button", name="Compute on the worker").wait_for()
    assert "Here\n71.2 GB, does not fit" in card(bench)
    assert "Worker\nabout 6 min, in 64 slices" in card(bench)
    job = send(bench, double)
    assert "Queued" in card(bench)
    plan = bench.state("now.plan.steps.map(({ left, right }) => [left, right])")
    assert double.bodies[job]["plan"] == {"path": plan, "sliced": []}
    double.run(job, 16, 64, 0.111)
    bench.until("now.remote.current.job.state === 'running'")
    assert "25 %, about 5 min left" in card(bench)
    assert "The sum of 16 of 64 slices, not yet the value." in card(bench)
    assert (
        bench.page.get_by_role("progressbar", name="Job on the worker").get_attribute(
            "aria-valuenow"
        )
        == "25"
    )
    double.finish(job, VALUE)
    bench.shows_value(VALUE)
    assert "measured 1 min" in card(bench)
    assert "predicted 5 min" in card(bench)
    assert "Where\nWorker, f64" in card(bench)
    assert f"Computed by numpy on the worker at {double.address[7:]}." in card(bench)
    assert bench.headline().replace("\u2009", "").startswith("0.12345")


def test_an_estimate_that_says_no_says_why_and_offers_nothing(
    bench: Workbench, double: WorkerDouble
) -> None:
    double.estimate = {
        "fits": False,
        "peakBytesPerWorker": "96000000000",
        "refusal": {
            "kind": "WorkerRejected",
            "code": "too-big-for-worker",
            "message": "One process needs 96 GB, but has 4 GB.",
            "hint": "Slice it further.",
        },
    }
    connect(bench, double)
    show_big(bench)
    bench.until("now.remote.estimate?.state === 'known'")
    assert "Worker\n96.0 GB per process, does not fit" in card(bench)
    assert "One process needs 96 GB, but has 4 GB. Slice it further." in card(bench)
    assert bench.page.get_by_role("button", name="Compute on the worker").count() == 0


def test_a_job_is_cancelled_from_the_card_and_deleted_from_the_list(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    job = send(bench, double)
    bench.page.locator(".tl-value").get_by_role("button", name="Cancel").click()
    bench.until("now.remote.jobs[0].job.state === 'cancelled'")
    assert double.jobs[job]["state"] == "cancelled"
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    bench.page.get_by_role("button", name="Delete Untitled").click()
    bench.until("now.remote.jobs.length === 0")
    assert job not in double.jobs


def test_why_a_job_waits_is_said_in_card_and_list(bench: Workbench, double: WorkerDouble) -> None:
    why = "It waits: The disk of the heavy worker is full."
    connect(bench, double)
    job = send(bench, double)
    double.run(job, 16, 64, 0.111)
    double.step(job, state="queued", note=why)
    bench.until("now.remote.current.job.note")
    assert why in card(bench)
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    line = bench.page.get_by_role("dialog", name="Worker").get_by_role("listitem")
    line.get_by_text(why).wait_for()
    double.jobs[job].pop("note")
    double.run(job, 17, 64, 0.111)
    bench.until("now.remote.current.job.state === 'running'")
    assert line.get_by_text(why).count() == 0
    bench.page.keyboard.press("Escape")
    assert why not in card(bench)


def test_what_another_client_does_is_seen(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    body = b'{"kind": "contract", "title": "By somebody", "document": {}}'
    double.submit("their-key", body)
    bench.until("now.remote.jobs[0]?.job.title === 'By somebody'")
    double.step("job1", state="failed", error={"code": "x", "message": "It broke.", "hint": ""})
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    line = bench.page.get_by_role("dialog", name="Worker").get_by_role("listitem")
    line.get_by_text("It broke.").wait_for()
    assert "sent from elsewhere" in line.inner_text()
    assert line.get_by_role("button").all_inner_texts() == ["Delete"]


def test_older_jobs_are_shown_when_asked_for(bench: Workbench, double: WorkerDouble) -> None:
    for number in range(250):
        body = json.dumps({"kind": "contract", "title": f"Number {number}", "document": {}})
        double.submit(f"key-{number}", body.encode())
    connect(bench, double)
    # The newest hundred as a list, and a hundred more by the events that a stream begins with.
    bench.until("now.remote.jobs.length === 200")
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    panel = bench.page.get_by_role("dialog", name="Worker")
    titles = panel.locator(".tl-job b")
    assert titles.count() == 200
    assert titles.last.text_content() == "Number 50"
    # The last one of the list is deleted elsewhere, and one that is not shown has news.
    del double.jobs["job151"]
    with double.changed:
        double.events.append(("gone", '{"id": "job151"}'))
    double.step("job11", state="failed", error={"code": "x", "message": "It broke.", "hint": ""})
    panel.get_by_text("It broke.").wait_for()
    panel.get_by_role("button", name="Show older jobs").click()
    bench.until("now.remote.jobs.length === 249")
    assert titles.all_text_contents() == [f"Number {n}" for n in reversed(range(250)) if n != 150]
    assert panel.get_by_role("button", name="Show older jobs").count() == 0
    assert panel.get_by_text("It broke.").count() == 1


def test_a_job_whose_drawing_was_changed_opens_its_own(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    job = send(bench, double)
    sent = bench.document()
    bench.open(format="einsum", text="i,i-> i=3", seed=1)
    bench.until("now.result && !now.behind && now.stale === null")
    own = bench.state("now.result.scalar")
    double.finish(job, VALUE)
    news = bench.page.locator(".tl-run-news")
    news.wait_for()
    assert "is done" in news.inner_text()
    assert "The drawing has changed since it was sent." in news.inner_text()
    assert bench.state("now.result.scalar") == own
    news.get_by_role("button", name="Open its drawing").click()
    bench.shows_value(VALUE)
    shown = bench.document()
    assert (shown["tensors"], shown["dimensions"]) == (sent["tensors"], sent["dimensions"])
    assert bench.page.locator(".tl-run-news").count() == 0
    # What is opened is shown whole.
    bottom = bench.paper(0, 1)[1]
    assert all(bench.tensor(name)[1] < bottom for name in "ABCDE")
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+z")
    bench.shows_value(own[0])


def test_a_changed_drawing_does_not_keep_the_value(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    job = send(bench, double)
    double.finish(job, VALUE)
    bench.shows_value(VALUE)
    assert bench.page.locator(".tl-value.is-live").count() == 1
    bench.page.evaluate(
        """() => tensorloomStore.dispatch("Change", [
          { kind: "set-dimension", name: "a", dimension: 40001 }])"""
    )
    bench.until("now.stale !== null")
    assert bench.page.locator(".tl-value.is-refused").count() == 1
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+z")
    bench.shows_value(VALUE)
    bench.page.locator(".tl-value.is-live").wait_for()


def test_progress_survives_a_reload_and_a_lost_line(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    job = send(bench, double)
    double.run(job, 8, 64, 0.1)
    bench.until("now.remote.current.job.state === 'running'")
    bench.page.reload()
    until(bench.page, "() => globalThis.tensorloomStore?.get().ready")
    bench.until("now.remote?.current?.job?.state === 'running'")
    assert bench.page.locator(".tl-value.is-away").count() == 1
    double.away = True
    with double.changed:
        double.changed.notify_all()
    bench.until("now.remote.connection.kind === 'waiting'")
    assert "The worker does not answer just now; the job goes on there." in card(bench)
    double.finish(job, VALUE)
    double.away = False
    bench.shows_value(VALUE, seconds=40)
    streams = [headers for _, path, headers in double.requests if path == "/v1/events"]
    assert len(streams) >= 3


def test_what_is_sent_while_the_worker_is_away_is_sent_when_it_is_back(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    show_big(bench)
    bench.page.get_by_role("button", name="Compute on the worker").wait_for()
    double.broken = 1_000
    bench.page.get_by_role("button", name="Compute on the worker").click()
    bench.page.get_by_text("Waits: The worker at").wait_for()
    assert "answered with status 503." in card(bench)
    assert bench.state("now.remote.current.sent.id") is None
    # The line breaks, and the page comes back.
    double.away = True
    with double.changed:
        double.changed.notify_all()
    bench.until("now.remote.connection.kind === 'waiting'")
    assert "Waits until the worker answers; it is kept here." in card(bench)
    double.broken = 0
    double.away = False
    bench.until("now.remote.current.job?.state === 'queued'", seconds=40)
    assert len(double.jobs) == 1
