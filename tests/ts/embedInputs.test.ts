import assert from "node:assert/strict";
import { test } from "node:test";
import { narrowed, widened } from "../../workers/browser/embed/inputs.ts";

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
