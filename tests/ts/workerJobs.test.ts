import assert from "node:assert/strict";
import { test } from "node:test";
import type { DocumentJson, PlanJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { offers, whereSentence } from "../../app/tensorloom/view/editor/remote/choice.ts";
import { jobOf, listed, partialWords, revisionOf, type SentJob, slicesOf, standing, valueWords } from "../../app/tensorloom/view/editor/remote/jobs.ts";
import { readNpy, writeNpy } from "../../app/tensorloom/view/editor/remote/npy.ts";
import { NOT_CONNECTED, type RemoteView } from "../../app/tensorloom/view/editor/remote/view.ts";
import type { EstimateJson, JobJson } from "../../app/tensorloom/view/editor/remote/wire.ts";
import { valueState } from "../../app/tensorloom/view/editor/chrome/valueState.ts";

const spaces = (text: string): string => text.replaceAll("\u2009", " ");
const drawing: DocumentJson = {
  tensorloom: 1, title: "One", dtype: "float64", dimensions: { i: 3 }, output: [],
  tensors: [{ id: "t1", name: "A", indices: ["i"], array: { kind: "constant", value: 1 } }],
  marks: { t1: { x: 0, y: 0, shape: "circle", colour: "blue" } }, anchors: {},
};

test("the revision of a drawing is that of its value", () => {
  const same = { ...drawing, title: "Other", marks: { t1: { x: 9, y: 9, shape: "square", colour: "rose" } as const }, tensors: [{ ...drawing.tensors[0]!, name: "B" }] };
  assert.equal(revisionOf(same), revisionOf(drawing));
  assert.equal(revisionOf({ ...drawing, dimensions: { j: 1, i: 3 } }), revisionOf({ ...drawing, dimensions: { i: 3, j: 1 } }));
  const others: DocumentJson[] = [
    { ...drawing, dimensions: { i: 4 } },
    { ...drawing, dtype: "float32" },
    { ...drawing, output: ["i"] },
    { ...drawing, tensors: [{ ...drawing.tensors[0]!, array: { kind: "constant", value: 2 } }] },
    { ...drawing, tensors: [{ ...drawing.tensors[0]!, id: "t2" }] },
  ];
  assert.equal(new Set([drawing, ...others].map(revisionOf)).size, 6);
});

const job = (change: Partial<JobJson>): JobJson => ({ id: "j", kind: "contract", title: "T", state: "queued", createdAt: "2026-01-01T00:00:00Z", progress: { slicesDone: "0", slices: "0", fraction: 0 }, ...change });
const sent = (change: Partial<SentJob>): SentJob => ({ key: "k", worker: "w", id: null, document: drawing, revision: revisionOf(drawing), sentAt: 1, ...change });

test("jobs are listed newest first, what waits to be sent before them, other workers' not at all", () => {
  const jobs = [job({ id: "old", createdAt: "2026-01-01T00:00:00Z" }), job({ id: "new", createdAt: "2026-01-02T00:00:00Z" })];
  const mine = [sent({ key: "a", id: "old" }), sent({ key: "b", sentAt: 5 }), sent({ key: "c", worker: "elsewhere" })];
  const list = listed(jobs, mine, "w");
  assert.deepEqual(list.map(({ name }) => name), ["b", "new", "old"]);
  assert.deepEqual(list.map((line) => line.sent?.key ?? null), ["b", null, "a"]);
});

test("a drawing's job is the newest that can bring its value", () => {
  const revision = revisionOf(drawing);
  const line = (name: string, state: JobJson["state"], of = revision) => ({ name, job: job({ id: name, state }), sent: sent({ revision: of }) });
  assert.equal(jobOf([line("a", "failed"), line("b", "done"), line("c", "done")], revision)?.name, "b");
  assert.equal(jobOf([line("a", "cancelled"), line("b", "done", "other")], revision), null);
});

test("how a job stands is said in words", () => {
  assert.equal(standing({ job: null }), "waits to be sent");
  assert.equal(standing({ job: job({ queuePosition: 1 }) }), "queued, next");
  assert.equal(standing({ job: job({ queuePosition: 4 }) }), "queued, 3 before it");
  assert.equal(standing({ job: job({ state: "searching" }) }), "looking for an order");
  const running = job({ state: "running", progress: { slicesDone: "1234", slices: "10000", fraction: 0.1299, etaMs: 300_000 } });
  assert.equal(spaces(standing({ job: running })), "computing, 12 %, about 5 min left");
  assert.equal(spaces(slicesOf(running)), "1 234 of 10 000 slices");
  const begun = { state: "running" as const, progress: { slicesDone: "0", slices: "1", fraction: 0 } };
  assert.equal(spaces(standing({ job: job({ ...begun, estimate }) })), "computing, 0 %, predicted 5 min");
  assert.equal(spaces(standing({ job: job({ ...begun, estimate: null }) })), "computing, 0 %");
  const result = { shape: [], dtype: "float64" as const, log10Scale: 0, errorBound: 1e-3, bytes: 136, sha256: "", ms: 61_000, mulAdds: "1", backend: "numpy", value: [0.123456, 0] as [number, number] };
  assert.equal(spaces(standing({ job: job({ state: "done", result }) })), "done in 1 min");
  assert.equal(spaces(valueWords({ result }).text), "0.123 5");
});

test("a sum so far shows the digits that have come to rest, and none once the job is over", () => {
  const partial = { value: [0.123456789, 0] as [number, number], log10Scale: 0, relativeChange: 0.01 };
  assert.equal(spaces(partialWords(job({ state: "running", partial }))), "0.123");
  assert.equal(partialWords(job({ state: "done", partial })), "");
  assert.equal(partialWords(job({ state: "running" })), "");
});

const plan = (change: Partial<PlanJson>): PlanJson => ({ finder: "greedy", proved: false, mulAdds: "1", largestElements: "1", peakElements: "1", peakBytes: "14000000000", width: 1, nSlices: "1", sliced: [], inputs: [], steps: [], predictedMs: 40_000, backend: "wasm", refused: null, ...change });
const refusing = { refused: { kind: "", code: "too-big", message: "", hint: "", where: {}, values: { neededBytes: "14000000000", limitBytes: "2" } } };
const estimate: EstimateJson = { mulAdds: "1", flop: "2", slices: "64", peakBytesPerWorker: "1800000000", resultBytes: "8", predictedMs: 300_000, searchMs: 60_000, fits: true, basis: "calibrated" };
const on: RemoteView = { ...NOT_CONNECTED, connection: { kind: "on", address: "http://127.0.0.1:8765" } };
const knowing = (change: Partial<EstimateJson>): RemoteView => ({ ...on, estimate: { state: "known", revision: "r", estimate: { ...estimate, ...change } } });

test("both places are said with their figures, and the button takes the one that can", () => {
  const found = offers(plan(refusing), knowing({}), "r", null);
  assert.equal(spaces(found.here.words), "14.0 GB, does not fit");
  assert.equal(spaces(found.worker.words), "about 6 min, in 64 slices");
  assert.equal(spaces(found.worker.more ?? ""), "1.8 GB per process of the worker");
  assert.equal(found.best, "worker");
});

test("the worker is suggested where it takes less than half the time", () => {
  assert.equal(offers(plan({ predictedMs: 100_000 }), knowing({ predictedMs: 40_000, searchMs: 0 }), "r", null).best, "worker");
  assert.equal(offers(plan({ predictedMs: 100_000 }), knowing({ predictedMs: 60_000, searchMs: 0 }), "r", null).best, "here");
  assert.equal(offers(plan({ predictedMs: 100_000 }), knowing({ predictedMs: 60_000, searchMs: 0 }), "r", "worker").best, "worker");
});

test("an estimate that says no says why, and nothing can be sent", () => {
  const refusal = { kind: "WorkerRejected", code: "memory", message: "One process has 2 GB.", hint: "Slice more.", where: {}, values: {} };
  const found = offers(plan(refusing), knowing({ fits: false, refusal }), "r", null);
  assert.equal(spaces(found.worker.words), "1.8 GB per process, does not fit");
  assert.equal(found.worker.hint, "One process has 2 GB. Slice more.");
  assert.equal(found.best, null);
  const long = { ...refusal, code: "job-too-long", message: "It would take 200 hours." };
  assert.equal(offers(plan(refusing), knowing({ fits: false, refusal: long }), "r", null).worker.words, "takes too long");
});

test("an estimate of another drawing says nothing of this one", () => {
  assert.equal(offers(plan(refusing), knowing({}), "other", null).worker.words, "estimating");
  assert.equal(offers(plan(refusing), on, "r", null).best, null);
  assert.equal(offers(plan(refusing), NOT_CONNECTED, "r", null).worker.words, "none connected");
});

test("the header says where it runs, and how far the worker is", () => {
  const here = "Runs on this CPU, 64-bit";
  const error = { kind: "", code: "", message: "", hint: "", where: {}, values: {} };
  const running = { name: "j", job: job({ state: "running", progress: { slicesDone: "1", slices: "8", fraction: 0.125 } }), sent: null };
  assert.equal(whereSentence(here, null), here);
  assert.equal(whereSentence(here, NOT_CONNECTED), here);
  assert.equal(whereSentence(here, on), `${here}, or on the worker`);
  assert.equal(spaces(whereSentence(here, { ...on, jobs: [running] })), `${here}; worker at 12 %`);
  assert.equal(whereSentence(here, { ...on, connection: { kind: "waiting", address: "a", error } }), `${here}; no answer from the worker`);
});

test("a value that a worker computed is live though the tab refuses, until the drawing changes", () => {
  type Facts = Parameters<typeof valueState>[0];
  const facts = { document: drawing, plan: refusing, progress: null, result: { backend: "worker" }, stale: null, ready: true, boot: { message: "", fraction: 1, failed: false } } as unknown as Facts;
  assert.equal(valueState(facts), "live");
  assert.equal(valueState({ ...facts, stale: "It does not fit." }), "refused");
  const away = (state: JobJson["state"]) => ({ ...facts, stale: "", remote: { ...on, current: { name: "j", job: job({ state }), sent: null } } });
  assert.equal(valueState(away("running")), "away");
  assert.equal(valueState(away("queued")), "away");
  assert.equal(valueState(away("done")), "refused");
  const fetching = { ...away("done"), remote: { ...away("done").remote, fetching: { done: 1, of: 2 } } };
  assert.equal(valueState(fetching), "away");
  assert.equal(valueState({ ...facts, stale: "", remote: { ...on, current: { name: "k", job: null, sent: sent({}) } } }), "away");
});

test("npy files are written as numpy writes them and read back", () => {
  const data = new Uint8Array(new Float64Array([1, -2, 3, 4, 5, 6]).buffer);
  const file = writeNpy("float64", [2, 3], data);
  assert.equal((file.byteLength - data.byteLength) % 64, 0);
  assert.equal(new TextDecoder("latin1").decode(file.subarray(1, 6)), "NUMPY");
  assert.deepEqual(readNpy(file.buffer), { dtype: "float64", shape: [2, 3], data: data.buffer });
  for (const shape of [[], [1], [6]]) assert.deepEqual(readNpy(writeNpy("complex64", shape, new Uint8Array(8 * (shape[0] ?? 1))).buffer).shape, shape);
  assert.throws(() => readNpy(file.buffer.slice(0, file.byteLength - 8)), /cut short/);
  assert.throws(() => readNpy(new ArrayBuffer(80)), /not a .npy file/);
  const objects = file.slice();
  objects.set(new TextEncoder().encode("|O8'"), new TextDecoder("latin1").decode(file).indexOf("<f8'"));
  assert.throws(() => readNpy(objects.buffer), /another type/);
});
