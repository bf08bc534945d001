import assert from "node:assert/strict";
import { test } from "node:test";
import { leavesUnder, treeGeometry } from "../../app/tensorloom/view/editor/chrome/treeGeometry.ts";

const step = (left: number, right: number, out: number) => ({ left, right, out, indices: [], mulAdds: "1", elements: "1", liveElements: "1" });
const chain = { inputs: ["a", "b", "c"], steps: [step(0, 1, 3), step(3, 2, 4)] };

test("x is the step, y the height of the subtree", () => {
  const { points, lines, nSteps } = treeGeometry(chain);
  assert.equal(nSteps, 2);
  assert.deepEqual(points[3], { x: 1, y: 0.5 });
  assert.deepEqual(points[4], { x: 2, y: 1 });
  assert.deepEqual(points[2], { x: 2, y: 0 });
  assert.ok((points[0]?.x ?? 9) < (points[1]?.x ?? 0), "two leaves of one step stand apart");
  assert.deepEqual(lines.map((line) => [line.from, line.to]), [[0, 3], [1, 3], [3, 4], [2, 4]]);
});

test("leaves under a step", () => {
  assert.deepEqual(leavesUnder(chain, 4), [0, 1, 2]);
  assert.deepEqual(leavesUnder(chain, 3), [0, 1]);
  assert.deepEqual(leavesUnder(chain, 2), [2]);
});

test("a single tensor has no steps", () => {
  assert.deepEqual(treeGeometry({ inputs: ["a"], steps: [] }).lines, []);
});
