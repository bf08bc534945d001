import assert from "node:assert/strict";
import { test } from "node:test";
import { boundWords, errorBound } from "../../workers/browser/embed/bound.ts";

const floats = (...parts: number[]) => Float64Array.of(...parts);
const near = (found: number, wanted: number) => assert.ok(Math.abs(found / wanted - 1) < 1e-12, `${found}, not ${wanted}`);

test("where no number is negative nothing cancels", () => {
  const rounding = { plain: 3e-15, logSummed: Math.log(2) };
  assert.equal(errorBound(rounding, "float64", [floats(1, 2), floats(3, 1e-9)], floats(3), 0), 3e-15);
});

test("what cancels counts: how much smaller the value is than sums with random signs", () => {
  // Two terms of spread 1 each: a sum of typical size sqrt(2), of which 1/8 is left.
  const rounding = { plain: 1e-15, logSummed: Math.log(2) };
  near(errorBound(rounding, "float64", [floats(1, -1), floats(1, 1)], floats(0.125), 0), 1e-15 * 8 * Math.SQRT2);
  // The same value with its power of ten beside it.
  near(errorBound(rounding, "float64", [floats(1, -1), floats(1, 1)], floats(1.25), -1), 1e-15 * 8 * Math.SQRT2);
});

test("complex numbers count by their magnitudes, however real they are", () => {
  // Spread 5 and 1, one term; the value has 1/10 of that.
  near(errorBound({ plain: 1e-7, logSummed: 0 }, "complex64", [floats(3, 4), floats(1, 0)], floats(0.3, -0.4), 0), 1e-6);
});

test("numbers of any size have a spread", () => {
  near(errorBound({ plain: 1e-15, logSummed: 0 }, "float64", [floats(-1e300, 1e300), floats(1e-300, 1e-300)], floats(1), 0), 1e-15);
});

test("nothing, infinity and zero are told apart", () => {
  const rounding = { plain: 1e-15, logSummed: 0 };
  assert.equal(errorBound(rounding, "float64", [floats(0, 0), floats(1, -1)], floats(0), 0), 0);
  assert.equal(errorBound(rounding, "float64", [floats(1, -1), floats(1, 1)], floats(0), 0), 1);
  assert.equal(errorBound(rounding, "float64", [floats(1, -1)], floats(NaN), 0), 1);
  assert.equal(errorBound(rounding, "float64", [floats(Infinity, -1)], floats(Infinity), 0), 1);
  assert.equal(errorBound(rounding, "float64", [floats(1, -1)], floats(1e-300), 0), 1);
});

test("a bound is never written smaller than it is", () => {
  assert.equal(boundWords("float64", 2.66e-15), "In float64; rounding has moved it by at most 2.7 × 10⁻¹⁵ of its largest number.");
  assert.match(boundWords("float32", 9.91e-8), /at most 1\.0 × 10⁻⁷ of/);
  assert.match(boundWords("float64", 1e-15), /at most 1\.0 × 10⁻¹⁵ of/);
  assert.match(boundWords("float64", 0.04), /at most 4\.0 × 10⁻² of/);
  assert.equal(boundWords("complex128", 1), "In complex128. So much cancels here that no digit is certain.");
  assert.equal(boundWords("float32", 0), "In float32, exact.");
  assert.equal(boundWords("float32", null), "In float32.");
});
