import assert from "node:assert/strict";
import { test } from "node:test";
import { measure } from "../../workers/browser/engine/measure.ts";

/** Times steps of some microseconds by a clock that ticks in 0.1 ms; others hold the machine at first. */
function measured(stepMs: number, heldMs: number): number {
  let now = 0;
  let steps = 0;
  const right = performance.now;
  performance.now = () => Math.floor(now * 10) / 10;
  try {
    const step = () => {
      now += stepMs + (steps++ < 2 ? heldMs : 0);
    };
    return measure(step, 20, 40).ms;
  } finally {
    performance.now = right;
  }
}

for (const heldMs of [0, 3, 30, 500]) {
  test(`a short step has a time though the machine was held for ${heldMs} ms`, () => {
    assert.ok(Math.abs(measured(0.002, heldMs) / 0.002 - 1) < 0.05);
  });
}
