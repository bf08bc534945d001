import assert from "node:assert/strict";
import { test } from "node:test";
import { largestDimension, refusalBytes, remaining, sentence, valueState } from "../../app/tensorloom/view/editor/chrome/valueState.ts";

type Facts = Parameters<typeof valueState>[0];
const some = { tensors: [{ id: "t" }] } as unknown as Facts["document"];
const none = { tensors: [] } as unknown as Facts["document"];
const result = { scalar: [1, 0] } as unknown as Facts["result"];
const refusing = { refused: { values: {} } } as unknown as Facts["plan"];
const quiet: Facts = { document: some, plan: null, progress: null, result: null, stale: null, ready: true, boot: { message: "", fraction: 1, failed: false } };

test("each situation has its own state", () => {
  assert.equal(valueState({ ...quiet, document: none, result }), "empty");
  assert.equal(valueState({ ...quiet, result }), "live");
  assert.equal(valueState({ ...quiet, result, stale: "too slow" }), "stale");
  assert.equal(valueState({ ...quiet, stale: "waits to be asked" }), "stale");
  assert.equal(valueState({ ...quiet, result, progress: { done: 0.5, etaMs: null, message: "" } }), "running");
  assert.equal(valueState({ ...quiet, result, plan: refusing }), "refused");
  assert.equal(valueState(quiet), "waiting");
  assert.equal(valueState({ ...quiet, ready: false }), "starting");
  assert.equal(valueState({ ...quiet, ready: false, boot: { message: "", fraction: 0.3, failed: true } }), "failed");
});

test("a value known before Python is shown while Python starts", () => {
  assert.equal(valueState({ ...quiet, ready: false, result }), "given");
});

test("time left is said, also when it is not known", () => {
  assert.equal(remaining(null, String), "time left not known yet");
  assert.equal(remaining(4200, (ms) => `${ms / 1000} s`), "about 4.2 s left");
});

test("the largest dimension and all who have it", () => {
  assert.deepEqual(largestDimension({ dimensions: { i: 2, j: 64, k: 64, l: 3 } }), { dimension: 64, names: ["j", "k"] });
  assert.equal(largestDimension({ dimensions: { i: 3 } }), null);
  assert.equal(largestDimension({ dimensions: {} }), null);
});

test("a refusal's numbers are the error's, or else the plan's", () => {
  const plan = (values: Record<string, unknown>) => ({ peakBytes: "14000", refused: { kind: "", code: "", message: "", hint: "", where: {}, values } });
  assert.deepEqual(refusalBytes(plan({ neededBytes: "15000", limitBytes: "2000" })), { needed: "15000", limit: "2000" });
  assert.deepEqual(refusalBytes(plan({})), { needed: "14000", limit: null });
});

test("a sentence ends once", () => {
  assert.equal(sentence("Starting"), "Starting.");
  assert.equal(sentence("It stopped."), "It stopped.");
  assert.equal(sentence("Loading…"), "Loading…");
});
