import assert from "node:assert/strict";
import { test } from "node:test";
import { pixel, scaleOf, ticks, tickText } from "../../app/tensorloom/view/editor/chrome/kernels/plotScale.ts";

test("a linear scale begins at 0 and ends at a tick that no value is above", () => {
  const scale = scaleOf([20, 40], false, 100, 200);
  assert.equal(scale.from, 0);
  assert.equal(pixel(scale, 0), 100);
  assert.deepEqual(ticks(scale), [0, 10, 20, 30, 40]);
  for (const most of [0.013, 0.99, 1, 3.7, 41.3, 52, 55.1, 99, 101, 250, 312, 6_543, 2e7]) {
    const top = ticks(scaleOf([most / 3, most], false, 0, 100)).at(-1) as number;
    assert.ok(top >= most * (1 - 1e-9), `${most} is above ${top}`);
    assert.ok(top <= most * 1.4 + 1e-9, `${top} leaves ${most} too little of the drawing`);
  }
});

test("pixels run backwards where the axis does, and stay on the drawing", () => {
  const scale = scaleOf([0, 10], false, 150, 10);
  assert.equal(pixel(scale, 0), 150);
  assert.equal(pixel(scale, -5), 150);
  assert.equal(pixel(scale, 1e9), 10);
});

test("a logarithmic scale has powers of ten, and finer ticks within one decade", () => {
  assert.deepEqual(ticks(scaleOf([1e3, 1e7], true, 0, 100)).map(Math.round), [1000, 10_000, 100_000, 1_000_000, 10_000_000]);
  const fine = ticks(scaleOf([20, 60], true, 0, 100));
  assert.deepEqual(fine.map((value) => Number(value.toPrecision(6))), [20, 50]);
  assert.deepEqual(ticks(scaleOf([0.61, 0.72], true, 0, 100)).map((value) => Number(value.toPrecision(6))), [0.6, 0.65, 0.7, 0.75]);
});

test("equal distances of powers are equal distances of pixels", () => {
  const scale = scaleOf([1, 100], true, 0, 100);
  const [a, b, c] = [1, 10, 100].map((value) => pixel(scale, value)) as [number, number, number];
  assert.ok(Math.abs(b - a - (c - b)) < 1e-9);
});

test("no values make a scale that can still be drawn", () => {
  for (const log of [true, false]) {
    const scale = scaleOf([], log, 0, 100);
    assert.ok(ticks(scale).length > 0);
    assert.ok(Number.isFinite(pixel(scale, 1)));
  }
});

test("ticks are few letters", () => {
  assert.equal(tickText(2_000_000), "2\u2009M");
  assert.equal(tickText(0.05), "0.05");
  assert.equal(tickText(0), "0");
  assert.equal(tickText(65_536), "65.5\u2009k");
});
