import assert from "node:assert/strict";
import { test } from "node:test";
// @ts-expect-error The benchmark's pages are plain modules, served as they are.
import { begin, contract, maxErr, trap } from "../bench/peers/harness.mjs";

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

async function begun(runners: object[]) {
  Object.assign(globalThis, { crossOriginIsolated: true });
  const bytes = Float32Array.of(1, -2, 4).buffer;
  const files = { fetch: async () => ({ arrayBuffer: async () => bytes }) };
  const real = globalThis.fetch;
  Object.assign(globalThis, files);
  try {
    const peer = await begin(new URLSearchParams(), { open: async () => ({ threads: 1, adapt: () => runners }) });
    const names = await peer.adapt({ urls: ["a", "b", "c"], dtype: "float32", tolerance: 1e-6 });
    return { peer, names };
  } finally {
    globalThis.fetch = real;
  }
}

async function prepared(runners: object[]) {
  const { peer, names } = await begun(runners);
  const tried = [];
  for (let index = 0; index < names.length; index += 1) tried.push(await peer.attempt(index));
  return { peer, tried };
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
  assert.ok(ms > 0.4, `${ms}`);
  assert.equal(await peer.check(), 0);
});

test("a library that is wrong throughout has no window", async () => {
  const { peer } = await prepared([runner("wrong", [0, 0, 0], 0)]);
  await assert.rejects(peer.window(4));
});

test("what is kept or was never tried is let go with the case, each once", async () => {
  const log: string[] = [];
  const { peer, names } = await begun([runner("first", [1, -2, 4], 0, log), runner("second", [1, -2, 4], 0, log)]);
  assert.deepEqual(names, ["first", "second"]);
  await peer.attempt(0);
  assert.deepEqual(log, []);
  peer.release();
  peer.release();
  assert.deepEqual(log, ["first", "second"]);
});

test("a formulation that throws has no time, and the next one goes on", async () => {
  const torn = { ...runner("torn", [], 0), call: () => Promise.reject(new Error("out of memory")) };
  const { peer, tried } = await prepared([torn, runner("good", [1, -2, 4], 0)]);
  assert.deepEqual([tried[0].ms, tried[0].maxErr, tried[0].ended], [null, null, null]);
  assert.match(tried[0].error, /out of memory/);
  assert.equal(tried[1].error, null);
  assert.ok((await peer.window(1)) > 0);
});

/** A device as far as the benchmark looks at it. */
function device() {
  const listeners: ((event: object) => void)[] = [];
  let lose: (info: object) => void = () => {};
  const lost = new Promise<object>((resolve) => {
    lose = resolve;
  });
  return {
    addEventListener: (_: string, listener: (event: object) => void) => listeners.push(listener),
    lost,
    lose: (reason: string) => lose({ reason, message: "gone" }),
    fail: (message: string) => listeners.forEach((listener) => listener({ error: { message } })),
  };
}

test("an error of the device ends the formulation it belongs to, and no other", async () => {
  const gpu = device();
  trap(gpu);
  const failing = { ...runner("large", [1, -2, 4], 0), wait: () => gpu.fail("buffer of 4 GiB") };
  const { tried } = await prepared([failing, runner("good", [1, -2, 4], 0)]);
  assert.match(tried[0].error, /buffer of 4 GiB/);
  assert.deepEqual([tried[0].ended, tried[1].error], [null, null]);
});

test("a device that its library destroys is none that was lost", async () => {
  const gpu = device();
  trap(gpu);
  gpu.lose("destroyed");
  const { tried } = await prepared([runner("wrong", [0, 0, 0], 0), runner("good", [1, -2, 4], 0)]);
  assert.deepEqual([tried[0].ended, tried[1].error], [null, null]);
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

// The last test: a page knows one loss, and no page goes on after it.
test("a lost device is told with the formulation that lost it, and makes no times", async () => {
  const gpu = device();
  trap(gpu);
  const losing = { ...runner("losing", [1, -2, 4], 0), wait: () => gpu.lose("unknown") };
  const { peer, tried } = await prepared([runner("good", [1, -2, 4], 0), losing]);
  assert.equal(tried[0].ended, null);
  assert.match(tried[1].ended, /the device was lost: gone/);
  await assert.rejects(peer.window(1), /lost/);
});
