import assert from "node:assert/strict";
import { test } from "node:test";
import type { KernelGroupJson, KernelShapeJson, KernelsJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { groupsOf, groupSteps, intensity, roof, speed, totalMs, whereItRan } from "../../app/tensorloom/view/editor/chrome/kernels/kernelFacts.ts";

const SHAPE: KernelShapeJson = {
  name: "a", dtype: "complex64", backend: "wasm", batch: 1, rows: 10, columns: 20, contracted: 30, groups: [],
  mulAdds: "6000", bytes: 9600, calls: 2, isTimed: true, inUse: "generic", candidates: [], history: [], note: "",
};
const call = (step: number, kernel: number, ms: number | null, backend: "wasm" | "webgpu" = "wasm", group: number | null = null): KernelsJson["calls"][number] => ({ step, kernel, backend, ms, group });

test("complex multiply-adds are eight operations", () => {
  assert.equal(intensity(SHAPE), (8 * 6000) / 9600);
});

test("speed is that of the candidate in use, else of the calls that were timed", () => {
  assert.equal(speed(SHAPE, 0, []), null);
  // 48 000 FLOP in 0.5 ms, twice: 96 MFLOP/s; another kernel's call and one without time do not count.
  const calls = [call(0, 0, 0.5), call(1, 0, 0.5), call(2, 1, 9), call(3, 0, null)];
  assert.ok(Math.abs((speed(SHAPE, 0, calls) ?? 0) - 0.096) < 1e-12);
  assert.equal(totalMs(0, calls), 1);
  assert.equal(speed({ ...SHAPE, isTimed: false }, 0, calls), null);
  const tuned = { ...SHAPE, inUse: "6x8", candidates: [{ text: "6x8", predictedMs: 1, ms: 1, gflops: 42, state: "best" as const, reason: "" }] };
  assert.equal(speed(tuned, 0, calls), 42);
});

test("the roof is memory's slope, then arithmetic", () => {
  const device = { name: "", facts: [], curves: [], peakGflops: 50, bytesPerMs: 2e7 };
  assert.equal(roof(device, 1), 20);
  assert.equal(roof(device, 100), 50);
  assert.equal(roof({ ...device, peakGflops: null }, 1), null);
});

test("says which steps ran where, few by number", () => {
  assert.equal(whereItRan(0, [call(4, 0, 1)]), "Step 5 of the contraction, on WASM.");
  assert.equal(whereItRan(0, [call(0, 0, 1), call(3, 0, 1), call(4, 0, 1, "webgpu")]), "Steps 1, 4 and 5 of the contraction, on WASM and WebGPU.");
  const many = Array.from({ length: 9 }, (_, step) => call(step, 0, 1));
  assert.equal(whereItRan(0, many), "Steps 1, 2, 3, 4, 5, 6 and 3 more of the contraction, on WASM.");
  assert.equal(whereItRan(7, many), "");
});

test("names a group by the steps that it holds", () => {
  const group: KernelGroupJson = { name: "fused", dtype: "float64", first: 0, last: 23, steps: 24, functions: [] };
  assert.equal(groupSteps(group), "Steps 1 to 24");
  assert.equal(groupSteps({ ...group, steps: 20 }), "20 steps from 1 to 24");
  assert.equal(groupSteps({ ...group, last: 0, steps: 1 }), "Step 1");
});

test("knows the groups that a kernel has a part in", () => {
  const calls = [call(0, 0, 1, "wasm", 0), call(1, 1, 1, "wasm", 0), call(2, 0, 1), call(3, 0, 1, "wasm", 1), call(4, 0, 1, "wasm", 1)];
  assert.deepEqual(groupsOf(0, calls), [0, 1]);
  assert.deepEqual(groupsOf(1, calls), [0]);
  assert.deepEqual(groupsOf(2, calls), []);
});
