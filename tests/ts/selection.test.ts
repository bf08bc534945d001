import assert from "node:assert/strict";
import { test } from "node:test";
import { roleOf, within, withRole, withValue } from "../../app/tensorloom/view/editor/chrome/inspectionAxes.ts";
import { indexWord, legsOf, withOpen } from "../../app/tensorloom/view/editor/chrome/legs.ts";
import type { TensorJson } from "../../app/tensorloom/view/editor/protocol.ts";

const tensor = (id: string, indices: string): TensorJson => ({ id, name: id, indices: [...indices], array: { kind: "identity" } });
const document = { tensors: [tensor("A", "iij"), tensor("B", "jk"), tensor("C", "k"), tensor("D", "k")] };
const ends = (name: string) => legsOf(document, name).map(({ tensor: { id }, axis }) => `${id}${axis}`);

test("legs of bonds, traces and hyperindices", () => {
  assert.deepEqual(ends("j"), ["A2", "B0"]);
  assert.deepEqual(ends("i"), ["A0", "A1"]);
  assert.deepEqual(ends("k"), ["B1", "C0", "D0"]);
});

test("the field's word for an index", () => {
  assert.equal(indexWord(legsOf(document, "j"), false), "bond");
  assert.equal(indexWord(legsOf(document, "j"), true), "hyperindex");
  assert.equal(indexWord(legsOf(document, "i"), false), "trace");
  assert.equal(indexWord(legsOf(document, "k"), false), "hyperindex");
  assert.equal(indexWord(legsOf({ tensors: [tensor("A", "x")] }, "x"), true), "open");
  assert.equal(indexWord(legsOf({ tensors: [tensor("A", "x")] }, "x"), false), "summed alone");
});

test("opening puts an index last, summing takes it out", () => {
  assert.deepEqual(withOpen(["a", "b"], "c", true), ["a", "b", "c"]);
  assert.deepEqual(withOpen(["a", "b"], "a", true), ["b", "a"]);
  assert.deepEqual(withOpen(["a", "b"], "a", false), ["b"]);
});

test("an index changes its role in the picture", () => {
  const view = { rows: ["a"], columns: ["b"], fixed: { c: 2 } };
  assert.equal(roleOf(view, "c"), "fixed");
  assert.deepEqual(withRole(view, "c", "rows"), { rows: ["a", "c"], columns: ["b"], fixed: {} });
  assert.deepEqual(withRole(view, "a", "fixed"), { rows: [], columns: ["b"], fixed: { c: 2, a: 0 } });
  assert.deepEqual(withRole(view, "a", "columns"), { rows: [], columns: ["b", "a"], fixed: { c: 2 } });
  assert.deepEqual(withValue(view, "c", 1).fixed, { c: 1 });
});

test("held values stay inside a dimension that shrinks", () => {
  assert.deepEqual(within({ rows: [], columns: [], fixed: { c: 7, d: 1 } }, { c: 4, d: 4 }).fixed, { c: 3, d: 1 });
});
