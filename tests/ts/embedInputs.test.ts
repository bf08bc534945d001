import assert from "node:assert/strict";
import { test } from "node:test";
import { narrowed, partName, widened } from "../../workers/browser/embed/inputs.ts";

const singles = (bytes: Uint8Array) => [...new Float32Array(bytes.buffer)];

test("numbers within the range stay as they are", () => {
  const { bytes, exponent } = narrowed("float32", Float64Array.of(0.1, -3));
  assert.deepEqual([singles(bytes), exponent], [[Math.fround(0.1), -3], 0]);
  assert.deepEqual([...widened("float32", bytes)], [Math.fround(0.1), -3]);
});

test("what a 32-bit type cannot hold is there with its exponent", () => {
  for (const size of [1e50, 1e-50, 3.3e-45]) {
    const given = Float64Array.of(size, -2 * size, size / 3, 0);
    const { bytes, exponent } = narrowed("complex64", given);
    widened("complex64", bytes, exponent).forEach((part, place) => {
      const wanted = given[place] as number;
      assert.ok(Math.abs(part - wanted) <= 2 ** -24 * Math.abs(wanted), `${part}, not ${wanted}`);
    });
  }
  // What was given is a reader's: it is not moved.
  const given = Float64Array.of(1e50);
  narrowed("float32", given);
  assert.equal(given[0], 1e50);
});

test("bytes anywhere in a file are read, and doubles are not rounded", () => {
  const file = new Uint8Array(20);
  new DataView(file.buffer).setFloat64(4, 1 / 3, true);
  assert.deepEqual([...widened("float64", file.subarray(4, 12))], [1 / 3]);
  const { bytes, exponent } = narrowed("float64", Float64Array.of(1 / 3));
  assert.deepEqual([[...new Float64Array(bytes.buffer)], exponent], [[1 / 3], 0]);
});

test("a part is named by its place, and which part of a complex number it is", () => {
  const names = (dtype: "float32" | "complex128", shape: number[], parts: number[]) => parts.map((part) => partName("A", dtype, shape, part));
  assert.deepEqual(names("float32", [2, 3], [0, 2, 3, 5]), ["A[0, 0]", "A[0, 2]", "A[1, 0]", "A[1, 2]"]);
  assert.deepEqual(names("complex128", [2], [0, 1, 2, 3]), ["Re A[0]", "Im A[0]", "Re A[1]", "Im A[1]"]);
  assert.deepEqual(names("complex128", [2, 2], [3]), ["Im A[0, 1]"]);
  assert.deepEqual(names("float32", [], [0]), ["A"]);
});
