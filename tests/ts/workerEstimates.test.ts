import assert from "node:assert/strict";
import { test } from "node:test";
import { Estimates } from "../../app/tensorloom/view/editor/remote/estimates.ts";
import type { Line } from "../../app/tensorloom/view/editor/remote/follower.ts";
import { WorkerError } from "../../app/tensorloom/view/editor/remote/http.ts";
import type { EstimateJson, JobRequestJson } from "../../app/tensorloom/view/editor/remote/wire.ts";
import type { EditorState } from "../../app/tensorloom/view/editor/store.ts";

/** Longer than a drawing must have been left alone. */
const pause = () => new Promise((next) => setTimeout(next, 330));

/** A drawing whose order has so many steps. */
function drawn(title: string, steps: number): EditorState {
  const plan = { steps: Array.from({ length: steps }, (_, left) => ({ left, right: left + 1 })), sliced: [], refused: {} };
  return { document: { title, dtype: "float64", tensors: [{}] }, plan, held: false, backend: "auto" } as unknown as EditorState;
}

/** A worker that answers when told to; what it was asked, and which of that was taken back. */
function estimatesOf() {
  const asked: { what: string; answer: (predictedMs: number) => void; signal: AbortSignal }[] = [];
  const estimate = (request: JobRequestJson, signal: AbortSignal) =>
    new Promise<EstimateJson>((resolve, reject) => {
      const answer = (predictedMs: number) => resolve({ predictedMs } as EstimateJson);
      asked.push({ what: `${request.document.title} ${request.plan?.path.length}`, answer, signal });
      signal.addEventListener("abort", () => reject(new WorkerError({ kind: "WorkerUnreachable", code: "gone", message: "", hint: "", where: {}, values: {} }, null)));
    });
  const control = new AbortController();
  const line = { client: { estimate }, lost: control.signal } as unknown as Line;
  return { asked, estimates: new Estimates(() => line, () => undefined) };
}

test("better orders of a drawing are asked for one after the other, the newest alone", async () => {
  const { asked, estimates } = estimatesOf();
  for (const steps of [9, 8, 7]) {
    assert.ok(estimates.askIfDue(drawn("A", steps), "1"));
    await pause();
  }
  assert.deepEqual(asked.map(({ what }) => what), ["A 9"]);
  assert.deepEqual(estimates.current, { state: "asking", revision: "1" });
  asked[0]?.answer(90);
  await pause();
  assert.deepEqual(asked.map(({ what }) => what), ["A 9", "A 7"]);
  assert.deepEqual(estimates.current, { state: "known", revision: "1", estimate: { predictedMs: 90 } });
  asked[1]?.answer(70);
  await pause();
  assert.equal(asked.length, 2);
  assert.deepEqual(estimates.current, { state: "known", revision: "1", estimate: { predictedMs: 70 } });
  assert.ok(asked.every(({ signal }) => !signal.aborted));
});

test("what is asked of a drawing is taken back when another one is shown, or the worker is left", async () => {
  const { asked, estimates } = estimatesOf();
  estimates.askIfDue(drawn("A", 9), "1");
  await pause();
  estimates.askIfDue(drawn("A", 8), "1");
  await pause();
  estimates.askIfDue(drawn("B", 3), "2");
  await pause();
  assert.deepEqual(asked.map(({ what, signal }) => [what, signal.aborted]), [["A 9", true], ["B 3", false]]);
  assert.deepEqual(estimates.current, { state: "asking", revision: "2" });
  estimates.forget();
  await pause();
  assert.deepEqual(asked.map(({ signal }) => signal.aborted), [true, true]);
  assert.equal(estimates.current, null);
});
