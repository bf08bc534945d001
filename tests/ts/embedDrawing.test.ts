import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf } from "../../workers/browser/embed/drawing.ts";

test("bonds run between centres, open legs to their free ends, whatever they are called", () => {
  const tensor = (indices: string[], x: number) => ({ name: "A", indices, shape: indices.map(() => 2), at: [x, 0] as [number, number], colour: "blue" });
  const lines = linesOf({ tensors: [tensor(["constructor", "j"], 0), tensor(["j", "k"], 100)], output: ["constructor", "k"], anchors: { k: [150, 0] } });
  const named = new Map(lines.map(({ name, from, to }) => [name, { from, to }]));
  assert.deepEqual(named.get("j"), { from: [0, 0], to: [100, 0] });
  assert.deepEqual(named.get("k")?.to, [150, 0]);
  assert.ok(named.get("constructor")?.to.every(Number.isFinite));
});
