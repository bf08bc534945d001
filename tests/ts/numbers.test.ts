import assert from "node:assert/strict";
import { test } from "node:test";
import { bigCount, bytes, duration, measured, plusMinus, scientific, superscript } from "../../app/tensorloom/view/editor/chrome/numbers.ts";

const plain = (text: string): string => text.replaceAll("\u2009", " ");

test("counts are grouped, then powers of ten", () => {
  assert.equal(plain(bigCount("13952")), "13 952");
  assert.equal(plain(bigCount("0")), "0");
  assert.equal(plain(bigCount("12345678901234")), "1.23 · 10¹³");
});

test("bytes use powers of 1000 and survive any size", () => {
  assert.equal(plain(bytes("9432")), "9.4 kB");
  assert.equal(plain(bytes(14_000_000_000)), "14.0 GB");
  assert.equal(plain(bytes("12")), "12 B");
  assert.match(plain(bytes("1" + "0".repeat(30))), /EB$/);
});

test("durations take the unit a reader expects", () => {
  assert.equal(plain(duration(0)), "under 1 ms");
  assert.equal(plain(duration(0.0014)), "1.4 µs");
  assert.equal(plain(duration(0.04)), "40 µs");
  assert.equal(plain(duration(0.382)), "0.38 ms");
  assert.equal(plain(duration(4230)), "4.2 s");
  assert.equal(plain(duration(360_000)), "6 min");
  assert.equal(duration(Infinity), "for ever");
});

test("a value shows no digit its bound does not support", () => {
  assert.equal(plain(measured(-6.0284517312, 2e-13)), "−6.028 451 7");
  assert.equal(plain(measured(-6.0284517312, 2e-3)), "−6.028");
  assert.equal(plain(measured(1.5, 10)), "2");
  assert.equal(plain(measured(0, 1e-9)), "0");
  assert.equal(plain(measured(1234567.25, 1e-9)), "1 234 567.3");
  assert.equal(plain(measured(-Infinity, 0)), "−∞");
  assert.equal(plain(measured(3.25e-12, 1e-16)), "3.250 0·10⁻¹²".replace("3.250 0", "3.2500"));
});

test("powers and bounds", () => {
  assert.equal(superscript(-13), "⁻¹³");
  assert.equal(scientific(4.6e-4, 2), "4.6·10⁻⁴");
  assert.equal(scientific(1e-4, 1), "10⁻⁴");
  assert.equal(plain(plusMinus(2e-13)), "± 2·10⁻¹³");
  assert.equal(plusMinus(0), "");
});
