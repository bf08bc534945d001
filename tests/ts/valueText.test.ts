import assert from "node:assert/strict";
import { test } from "node:test";
import { arrayWords, complexText, durationBar, headline, numbersWords, operations, powerOfTwo, scaled } from "../../app/tensorloom/view/editor/chrome/valueText.ts";

const plain = (text: string): string => text.replaceAll("\u2009", " ");
const result = { scalar: [-6.0284517312, 0] as [number, number], shape: [], norm: 6.0284517312, dtype: "float64" as const, errorBound: 3e-14, log10Scale: 0 };

test("a real value shows its digits and its absolute bound", () => {
  const { text, bound } = headline(result);
  assert.equal(plain(text), "−6.028 451 7");
  // 6.03 x 3e-14 = 1.8e-13, one digit.
  assert.equal(plain(bound), "± 2·10⁻¹³");
});

test("a coarse bound takes digits away", () => {
  assert.equal(plain(headline({ ...result, errorBound: 2e-4 }).text), "−6.028");
});

test("a complex value shows both parts with one bound", () => {
  const { text } = headline({ ...result, dtype: "complex128", scalar: [0.125, -0.5] });
  assert.equal(plain(text), "0.125 000 − 0.500 000 i");
  assert.equal(plain(complexText(1, 2, 0.1)), "1.0 + 2.0 i");
});

test("a scale beyond the range becomes a power of ten", () => {
  assert.equal(plain(headline({ ...result, scalar: [1.25, 0], log10Scale: 412, errorBound: 1e-3 }).text), "1.250·10⁴¹²");
  // 25 x 10^400.5 = 7.906 x 10^401
  assert.equal(plain(scaled(25, 0.025, 400.5)), "7.906·10⁴⁰¹");
  assert.equal(plain(headline({ ...result, dtype: "complex64", scalar: [1, 1], log10Scale: -350, errorBound: 1e-2 }).text), "(1.00 + 1.00 i)·10⁻³⁵⁰");
});

test("the bound of a scaled value is rounded up to a power of ten", () => {
  assert.equal(plain(headline({ ...result, scalar: [2, 0], log10Scale: 400, errorBound: 1e-6 }).bound), "± 10³⁹⁵");
});

test("arrays are named by their shape", () => {
  assert.equal(headline({ ...result, scalar: null, shape: [12] }).text, "Vector of 12");
  assert.equal(arrayWords([3, 4]), "Matrix, 3 × 4");
  assert.equal(arrayWords([2, 3, 4]), "Array, 2 × 3 × 4");
  assert.equal(arrayWords(new Array<number>(12).fill(2)), "Array with 12 axes");
  assert.equal(numbersWords(1n), "1 number");
  assert.equal(plain(numbersWords("4096")), "4 096 numbers");
});

test("a multiply-add is two operations on reals and eight on complex numbers", () => {
  assert.deepEqual(operations("13952", false), { text: "27\u2009904 FLOP", each: 2 });
  assert.deepEqual(operations("100", true), { text: "800 FLOP", each: 8 });
});

test("bar and mark fit into the bar whichever is longer", () => {
  const slow = durationBar(3, 1);
  assert.ok(Math.abs(slow.measured - 1 / 1.55) < 1e-12 && Math.abs(slow.predicted - 1 / 4.65) < 1e-12);
  const quick = durationBar(1, 3);
  assert.ok(quick.predicted < 1 && quick.measured < quick.predicted);
});

test("widths are powers of two", () => {
  assert.equal(powerOfTwo(7), "7");
  assert.equal(powerOfTwo(7.3219), "7.3");
});
