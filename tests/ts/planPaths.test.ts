import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesDuring, carriers, memoryStrip, planBox, playInterval, showsMarks, stepAt, timeX, treePath } from "../../app/tensorloom/view/editor/chrome/planPaths.ts";
import { tensorsOfStep } from "../../app/tensorloom/view/editor/chrome/planSteps.ts";
import { treeGeometry } from "../../app/tensorloom/view/editor/chrome/treeGeometry.ts";
import type { PlanStepJson, TensorJson } from "../../app/tensorloom/view/editor/protocol.ts";

const step = (left: number, right: number, out: number, indices: string, liveElements: string): PlanStepJson => ({ left, right, out, indices: [...indices], mulAdds: "1", elements: "1", liveElements });
/** A chain A(ij) B(jk) C(kl): AB first, then with C. */
const plan = { inputs: ["A", "B", "C"], steps: [step(0, 1, 3, "ik", "10"), step(3, 2, 4, "il", "30")], peakBytes: "240", peakElements: "30" };
const tensors = ["ij", "jk", "kl"].map((indices, order): TensorJson => ({ id: "ABC"[order] ?? "", name: "", indices: [...indices], array: { kind: "copy" } }));
const box = planBox(500, 195);

test("time and pixels are inverse to each other, and bounded", () => {
  assert.equal(timeX(box, 2, 0), 40);
  assert.equal(timeX(box, 2, 2), 460);
  assert.equal(stepAt(box, 2, timeX(box, 2, 1)), 1);
  assert.equal(stepAt(box, 2, -100), 0);
  assert.equal(stepAt(box, 2, 9999), 2);
});

test("every tensor has one line to what it becomes", () => {
  const path = treePath(treeGeometry(plan), box);
  assert.equal(path.match(/M/g)?.length, 4);
  assert.ok(!path.includes("NaN"));
  assert.equal(treePath(treeGeometry(plan), box, (number) => number === 3).match(/M/g)?.length, 1);
});

test("an index lives in the tensors that carry it until it is summed", () => {
  assert.deepEqual([...carriers(plan, tensors, new Set(["k"]))].sort(), [1, 2, 3]);
  assert.deepEqual([...carriers(plan, tensors, new Set(["j"]))].sort(), [0, 1]);
});

test("the memory strip keeps the peak", () => {
  const strip = memoryStrip(plan, box);
  assert.equal(strip.peakStep, 2);
  assert.equal(strip.peakX, 460);
  assert.ok(strip.line.endsWith(`460,${box.memoryTop}`));
  assert.ok(strip.area.endsWith("z"));
});

test("a thousand steps on few pixels do not lose a narrow peak", () => {
  const steps = Array.from({ length: 5000 }, (_, order) => step(0, 0, 0, "", order === 2345 ? "1000000" : "1"));
  const strip = memoryStrip({ steps }, box);
  assert.equal(strip.peakStep, 2346);
  assert.ok(strip.line.includes(`,${box.memoryTop}`), "the peak reaches the top");
  assert.ok(strip.line.length < 12_000);
});

test("bytes during a step are its share of the peak", () => {
  assert.equal(bytesDuring(plan, 1), "80");
  assert.equal(bytesDuring(plan, 2), "240");
  assert.equal(bytesDuring(plan, 0), "80");
  assert.equal(bytesDuring({ ...plan, steps: [] }, 0), "0");
});

test("a step brings together the tensors under it", () => {
  assert.deepEqual(tensorsOfStep(plan, 1), ["A", "B"]);
  assert.deepEqual(tensorsOfStep(plan, 2), ["A", "B", "C"]);
  assert.deepEqual(tensorsOfStep(plan, 0), []);
});

test("marks are drawn only where they have room", () => {
  assert.equal(showsMarks(treeGeometry(plan), box), true);
  assert.equal(showsMarks(treeGeometry(plan), planBox(100, 195)), false);
});

test("playing takes about six seconds at most", () => {
  assert.equal(playInterval(4), 420);
  assert.equal(playInterval(100), 60);
  assert.equal(playInterval(5000), 16);
});
