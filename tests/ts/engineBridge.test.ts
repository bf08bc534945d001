import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { engineBridge } from "../../workers/browser/engine/bridge.ts";
import { type Compiled, readCompiled } from "../../workers/browser/engine/compiledFile.ts";
import type { PyProxy } from "../../workers/browser/pyodide.d.ts";

const FILE = Uint8Array.from(Buffer.from(readFileSync("tests/golden/compiled/sliced.b64", "utf8"), "base64"));
const BUILD = { build: "", app: "", python: "", sizes: {}, snapshot: false };

/** Bytes as Python lends them. */
function lent(data: Uint8Array): PyProxy {
  return { getBuffer: () => ({ data, release: () => undefined }) } as unknown as PyProxy;
}

/** A clock by which every look takes a second: steps are as short as they can be. */
function slow(): () => number {
  let ms = 0;
  return () => (ms += 1000);
}

test("a step goes on for a moment, and tells how far it came", async () => {
  const { programs, parts } = readCompiled(FILE);
  const { inputs, mulAdds } = programs[0] as Compiled;
  let ms = 0;
  const engine = engineBridge("", BUILD, () => (ms += 2));
  const program = await engine.open(FILE);
  for (let number = 0; number < inputs; number += 1) engine.write(program, number, parts.get(`input ${number}`) as Uint8Array);
  // The clock is looked at once before and once after each of 20 slices: five in 10 ms.
  const told = [1, 2, 3, 4].map(() => engine.step(program));
  assert.deepEqual(told, [1, 2, 3, 4].map((part) => (part * mulAdds) / 4));
  assert.equal(engine.step(program), -1);
});

test("a run that was given up half way leaves nothing to the next one", async () => {
  const { programs, parts } = readCompiled(FILE);
  const { inputs } = programs[0] as Compiled;
  const engine = engineBridge("", BUILD, slow());
  const program = await engine.open(FILE);
  const numbers = Array.from({ length: inputs }, (_, number) => parts.get(`input ${number}`) as Uint8Array);
  const wanted = parts.get("value") as Uint8Array;
  numbers.forEach((bytes, number) => engine.write(program, number, new Uint8Array(bytes.length)));
  for (let part = 0; part < 3; part += 1) assert.ok(engine.step(program) > 0);
  numbers.forEach((bytes, number) => engine.write(program, number, bytes));
  let count = 0;
  while (engine.step(program) >= 0) count += 1;
  assert.equal(count, 20);
  const out = new Uint8Array(wanted.length);
  engine.read(program, lent(out));
  assert.deepEqual(out, wanted.slice());
});

test("so many runs in a row are timed, and the numbers are those of one", async () => {
  const { programs, parts } = readCompiled(FILE);
  const { inputs } = programs[0] as Compiled;
  const engine = engineBridge("", BUILD);
  const program = await engine.open(FILE);
  for (let number = 0; number < inputs; number += 1) engine.write(program, number, parts.get(`input ${number}`) as Uint8Array);
  assert.equal(engine.spent(program, 0) < engine.spent(program, 200), true);
  const wanted = parts.get("value") as Uint8Array;
  const out = new Uint8Array(wanted.length);
  engine.read(program, lent(out));
  assert.deepEqual(out, wanted.slice());
});
