import assert from "node:assert/strict";
import { test } from "node:test";
// @ts-expect-error The benchmark's pages are plain modules, served as they are.
import { begin, contract, maxErr } from "../bench/peers/harness.mjs";

type Numbers = Float32Array[];

/** A runner that gives some numbers after busy milliseconds. */
function runner(name: string, numbers: number[], busyMs: number, log: string[] = []) {
  return {
    name,
    eager: true,
    call: () => {
      const end = performance.now() + busyMs;
      while (performance.now() < end);
      return Float32Array.from(numbers);
    },
    wait: () => {},
    read: (result: Float32Array): Numbers => [result],
    drop: () => {},
    dispose: () => log.push(name),
  };
}

async function prepared(runners: object[]) {
  Object.assign(globalThis, { crossOriginIsolated: true });
  const bytes = Float32Array.of(1, -2, 4).buffer;
  const files = { fetch: async () => ({ arrayBuffer: async () => bytes }) };
  const real = globalThis.fetch;
  Object.assign(globalThis, files);
  try {
    const peer = await begin(new URLSearchParams(), { open: async () => ({ threads: 1, adapt: () => runners }) });
    const tried = await peer.prepare({ urls: ["a", "b", "c"], dtype: "float32", tolerance: 1e-6 });
    return { peer, tried };
  } finally {
    globalThis.fetch = real;
  }
}

test("the fastest right formulation is kept, a faster wrong one is not", async () => {
  const log: string[] = [];
  const { peer, tried } = await prepared([
    runner("slow", [1, -2, 4], 3, log),
    runner("wrong", [1, -2, 4.1], 0, log),
    runner("good", [1, -2, 4], 0.5, log),
    runner("nan", [1, Number.NaN, 4], 0, log),
    runner("short", [1, -2], 0, log),
  ]);
  const errors = tried.map(({ error }: { error: string | null }) => error !== null);
  assert.deepEqual(errors, [false, true, false, true, true]);
  assert.deepEqual(log, ["wrong", "slow", "nan", "short"]);
  const ms = await peer.window(4);
  assert.ok(ms > 0.4 && ms < 2.5, `${ms}`);
  assert.equal(await peer.check(), 0);
});

test("a library that is wrong throughout has no window", async () => {
  const { peer } = await prepared([runner("wrong", [0, 0, 0], 0)]);
  await assert.rejects(peer.window(4));
});

test("errors are relative to the largest number, NaN is never small", () => {
  assert.equal(maxErr([Float64Array.of(1, 9)], [Float64Array.of(1, 10)]), 0.1);
  assert.ok(Number.isNaN(maxErr([Float64Array.of(Number.NaN, 10)], [Float64Array.of(1, 10)])));
});

test("three real products give what four give", () => {
  const ops = {
    keep: (x: number) => x,
    add: (x: number, y: number) => x + y,
    sub: (x: number, y: number) => x - y,
    einsum: (_: string, x: number, y: number) => x * y,
  };
  for (const way of ["4 products", "3 products"])
    assert.deepEqual(contract(ops, { einsum: ",->" }, [[2, 3], [5, -7]], way), [2 * 5 + 3 * 7, -2 * 7 + 3 * 5]);
});
