import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checked, readCompiled, type CompiledFile } from "../../workers/browser/engine/compiledFile.ts";
import { startEngine } from "../../workers/browser/engine/engine.ts";
import { EngineMemory } from "../../workers/browser/engine/memory.ts";
import { withSharedMemory } from "../../workers/browser/engine/modules.ts";
import type { LoadedProgram } from "../../workers/browser/engine/program.ts";
import { absmax, finish, frexp, ldexp, scalarsOf, shiftFor, SliceSum } from "../../workers/browser/engine/scaling.ts";

const CASES = ["chain", "sliced", "prologue", "huge", "vanishing", "fused", "unfused"];

function bytesOf(name: string): Uint8Array {
  return Uint8Array.from(Buffer.from(readFileSync(`tests/golden/compiled/${name}.b64`, "utf8"), "base64"));
}

function opened(name: string): CompiledFile & { first: CompiledFile["programs"][number] } {
  const file = readCompiled(bytesOf(name));
  const [first] = file.programs;
  assert.ok(first);
  return { ...file, first };
}

function give(program: LoadedProgram, file: CompiledFile): void {
  for (let number = 0; number < program.compiled.inputs; number += 1) program.write(number, file.parts.get(`input ${number}`) ?? new Uint8Array(0));
}

for (const name of CASES) {
  test(`${name}: a replay without Python gives the same bits and the same power of ten`, () => {
    const file = opened(name);
    const program = startEngine(file.first).load(file.first);
    give(program, file);
    for (const _ of [1, 2]) {
      program.run();
      const { bytes, log10Scale } = program.result();
      assert.deepEqual([...bytes], [...(file.parts.get("value") ?? [])]);
      assert.equal(log10Scale, file.about.log10Scale);
    }
  });
}

test("the huge and the vanishing case do carry exponents", () => {
  assert.notEqual(opened("huge").about.log10Scale, 0);
  assert.notEqual(opened("vanishing").about.log10Scale, 0);
});

test("an input's own exponent is the result's, beside what the engine takes out", () => {
  for (const name of ["chain", "huge"]) {
    const file = opened(name);
    const program = startEngine(file.first).load(file.first);
    give(program, file);
    const first = file.parts.get("input 0") as Uint8Array;
    const taken = () => program.exponents().find(([buffer]) => buffer === 0)?.[1];
    const before = taken() as number;
    program.write(0, first, 3);
    assert.equal(taken(), before + 3);
    program.write(0, first, -1);
    program.run();
    const log = (bytes: Uint8Array, scale: number) => Math.log10(absmax(scalarsOf(file.first.dtype, bytes.slice()))) + scale;
    const { bytes, log10Scale } = program.result();
    const whole = log(file.parts.get("value") as Uint8Array, file.about.log10Scale as number);
    assert.ok(Math.abs(log(bytes, log10Scale) - whole + Math.log10(2)) < 1e-6);
  }
});

test("steps report work up to all of it and give what run gives", () => {
  const file = opened("sliced");
  const program = startEngine(file.first).load(file.first);
  give(program, file);
  const done = [...program.steps()];
  assert.equal(done.length, 20);
  assert.equal(done.at(-1), file.first.mulAdds);
  assert.deepEqual([...program.result().bytes], [...(file.parts.get("value") ?? [])]);
});

test("what is the same in every slice is done once, and by older files in each", () => {
  const file = opened("prologue");
  const { once, ...older } = file.first;
  assert.equal(once, 1);
  const [same] = file.first.groups as [[number, number, boolean, number]];
  const [done, longer] = [file.first, older].map((compiled) => {
    const program = startEngine(compiled).load(compiled);
    give(program, file);
    const told = [...program.steps()];
    assert.deepEqual([...program.result().bytes], [...(file.parts.get("value") ?? [])]);
    return told;
  }) as [number[], number[]];
  assert.equal(done[0], same[3]);
  assert.equal(done.at(-1), file.first.mulAdds);
  assert.equal(longer.at(-1), file.first.mulAdds + 3 * same[3]);
});

test("while slices are added up, the result is their sum so far", () => {
  const file = opened("sliced");
  const program = startEngine(file.first).load(file.first);
  give(program, file);
  const floats = () => [...new Float32Array(program.result().bytes.buffer)];
  const steps = program.steps();
  const seen: number[][] = [];
  while (!steps.next().done) seen.push(floats());
  assert.equal(seen.length, 20);
  // Slices differ in row and summed index: after five of them the first row is there, and no other.
  const whole = [...new Float32Array((file.parts.get("value") as Uint8Array).slice().buffer)];
  assert.deepEqual(seen[4], whole.map((number, place) => (place < 12 ? number : 0)));
  assert.deepEqual(seen.at(-1), whole);
});

test("what a program keeps is read from its buffers after a run", () => {
  const file = opened("gradient");
  const { kept, scales } = file.about as { kept: number[]; scales: number[] };
  assert.deepEqual([kept.length, scales], [3, [0, 0, 0]]);
  const program = startEngine(file.first).load(file.first);
  give(program, file);
  program.run();
  kept.forEach((buffer, number) => assert.deepEqual([...program.made(buffer)], [...(file.parts.get(`kept ${number}`) ?? [])]));
  assert.ok(program.exponents().every(([, exponent]) => exponent === 0));
  assert.throws(() => program.made(99), /There is no buffer 99\./);
});

test("exponents taken out are told by buffer, and those of the last run only", () => {
  const file = opened("huge");
  const program = startEngine(file.first).load(file.first);
  give(program, file);
  program.run();
  const taken = new Map(program.exponents());
  const inputs = [0, 1, 2].map((number) => taken.get(number) ?? 0);
  assert.ok(inputs.every((exponent) => exponent > 40));
  for (let number = 0; number < 3; number += 1) program.write(number, new Uint8Array((file.parts.get(`input ${number}`) as Uint8Array).length));
  program.run();
  assert.ok(program.exponents().every(([, exponent]) => exponent === 0));
});

test("a thousand programs come and go in the memory of the first", () => {
  const files = CASES.map(opened);
  const engine = startEngine((files[0] as (typeof files)[0]).first);
  const before = engine.counters();
  let most = 0;
  for (let round = 0; round < 250; round += 1) {
    const loaded = files.map((file) => engine.load(file.first));
    loaded.forEach((program, place) => give(program, files[place] as CompiledFile));
    for (const program of loaded) program.run();
    most = Math.max(most, engine.counters().heldBytes);
    for (const program of loaded) program.release();
  }
  assert.ok(most > before.heldBytes);
  assert.deepEqual(engine.counters(), before);
});

test("a program for which memory cannot grow leaves nothing behind", () => {
  const files = CASES.map(opened);
  const engine = startEngine((files[0] as (typeof files)[0]).first);
  const before = engine.counters();
  const allocate = EngineMemory.prototype.allocate;
  let left = 0;
  EngineMemory.prototype.allocate = function (bytes) {
    if (left-- === 0) throw new RangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded");
    return allocate.call(this, bytes);
  };
  try {
    for (const { first } of files) {
      // Whichever of its places it is that has no room.
      let failed = 0;
      for (; ; failed += 1) {
        left = failed;
        try {
          engine.load(first).release();
          break;
        } catch (error) {
          assert.ok(error instanceof RangeError);
          assert.deepEqual(engine.counters(), { ...before, memoryBytes: engine.counters().memoryBytes });
        }
      }
      assert.ok(failed >= 6);
    }
  } finally {
    EngineMemory.prototype.allocate = allocate;
  }
  const [file] = files as [(typeof files)[0]];
  const program = engine.load(file.first);
  give(program, file);
  program.run();
  assert.deepEqual([...program.result().bytes], [...(file.parts.get("value") ?? [])]);
});

test("a program with a kernel that is refused leaves nothing behind", () => {
  const file = opened("chain");
  const engine = startEngine(file.first);
  const before = engine.counters();
  const broken = { name: "broken", bytes: Uint8Array.of(0, 97, 115, 109, 9) };
  assert.throws(() => engine.load({ ...file.first, modules: [...file.first.modules, broken] }), WebAssembly.CompileError);
  assert.deepEqual(engine.counters(), before);
});

test("an input of another size is refused with both sizes", () => {
  const file = opened("chain");
  const program = startEngine(file.first).load(file.first);
  assert.throws(() => program.write(0, new Uint8Array(8)), /Input 0 has 280 bytes, not 8\./);
});

test("a whole file passes, a damaged one is refused by name", async () => {
  const whole = bytesOf("chain");
  assert.equal(await checked(whole), whole);
  const bent = whole.slice();
  bent[bent.length - 20] = (bent[bent.length - 20] ?? 0) ^ 1;
  for (const bad of [bent, whole.slice(0, -1), new Uint8Array(10), new TextEncoder().encode("x".repeat(100))])
    await assert.rejects(checked(bad), (error: { code: string }) => error.code === "compiled-corrupt");
});

test("a newer file is refused by name", () => {
  const text = new TextDecoder("latin1").decode(bytesOf("chain")).replace('"tensorloomProgram":1', '"tensorloomProgram":7');
  const newer = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  assert.throws(() => readCompiled(newer), (error: { code: string; message: string }) => error.code === "compiled-newer" && error.message.includes("version 7"));
});

test("modules take shared memory once their import says so", () => {
  const { first } = opened("chain");
  const memory = new EngineMemory(true).memory;
  for (const { bytes } of first.modules) {
    assert.throws(() => new WebAssembly.Instance(new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>), { env: { memory } }), WebAssembly.LinkError);
    const shared = new WebAssembly.Module(withSharedMemory(bytes) as Uint8Array<ArrayBuffer>);
    assert.ok(new WebAssembly.Instance(shared, { env: { memory } }).exports.kernel);
  }
});

test("freed places are merged and used again", () => {
  const memory = new EngineMemory(false);
  const places = [100, 200, 300, 400].map((size) => memory.allocate(size));
  assert.ok(places.every((place) => place > 0 && place % 64 === 0));
  memory.release(places[1] as number);
  memory.release(places[2] as number);
  assert.equal(memory.allocate(512), places[1]);
  assert.throws(() => memory.release(7), /Nobody holds 7\./);
});

test("frexp and ldexp are exact over the whole range, and round once", () => {
  for (const value of [1, -0.75, 3e300, 5e-324, 2 ** -1022, Number.MAX_VALUE, 1 - 2 ** -53, 2 ** 52 + 1]) {
    const [mantissa, exponent] = frexp(value);
    assert.ok(Math.abs(mantissa) >= 0.5 && Math.abs(mantissa) < 1, String(value));
    assert.equal(ldexp(mantissa, exponent), value);
  }
  assert.equal(ldexp(3, -1075), 2 ** -1073);
  assert.equal(ldexp(1, -1075), 0);
  assert.equal(ldexp(1 + 2 ** -52, -1075), 2 ** -1074);
  assert.equal(ldexp(5e-324, 2000), 2 ** 926);
  assert.equal(ldexp(1, 5000), Infinity);
});

test("exponents are taken out beyond the safe range only", () => {
  assert.deepEqual([1, 2 ** 60, 0, NaN, 2 ** -50].map((value) => shiftFor(value, "float32")), [0, 61, 0, 0, -49]);
  assert.equal(shiftFor(2 ** 60, "float64"), 0);
  assert.ok(Number.isNaN(absmax(new Float32Array([1, NaN, 3]))));
});

function summed(parts: number[], total: Float32Array | Float64Array, exponents: number[] = []): number {
  const sum = new SliceSum([], 1);
  for (const [number, part] of parts.entries()) sum.add(total, 0, total instanceof Float32Array ? Float32Array.of(part) : Float64Array.of(part), exponents[number] ?? 0);
  sum.finish(total);
  return total[0] as number;
}

test("slices add up with what was rounded away, to the bits that Python has", () => {
  const parts = Array.from({ length: 15_000 }, (_, number) => [0.1, 1 / 3, -0.25][number % 3] as number);
  assert.equal(summed(parts, new Float32Array(1)), 916.666748046875);
  assert.equal(summed([1, 0.1, 0.1, -0.7], new Float64Array(1), [0, -50, 1, 0]), 0.25000000000000006);
  // The small one survives between large ones that cancel.
  assert.equal(summed([1e8, 1, -1e8], new Float32Array(1)), 1);
  assert.equal(summed([1, Infinity, 2], new Float32Array(1)), Infinity);
});

test("single precision loses what rounding at each step would lose, whichever number is larger", () => {
  const { fround } = Math;
  // Magnitudes from 2**-60 to 2**60, and alike ones, which cancel.
  const parts = Array.from({ length: 4000 }, (_, at) => fround(Math.sin(at) * 2 ** (at % 2 ? 0 : ((at * 37) % 121) - 60)));
  let [whole, lost] = [0, 0];
  const [total, sum] = [new Float32Array(1), new SliceSum([], 1)];
  for (const part of parts) {
    const after = fround(whole + part);
    const moved = fround(after - whole);
    lost = fround(lost + fround(fround(whole - fround(after - moved)) + fround(part - moved)));
    whole = after;
    sum.add(total, 0, Float32Array.of(part), 0);
    assert.equal(total[0], whole);
    const copy = total.slice();
    sum.finish(copy);
    assert.equal(copy[0], fround(whole + lost));
  }
});

test("slices of an output's own index go between those of the others", () => {
  // Two rows of three complex numbers, two apart: the last index, of dimension 2, is sliced.
  const sum = new SliceSum([[2, 6], [3, 2]], 2);
  const total = new Float64Array(24);
  for (const slice of [0, 1]) sum.add(total, slice, Float64Array.from({ length: 12 }, (_, at) => 100 * slice + at), 0);
  const rows = [0, 1].flatMap((row) => [0, 1, 2].flatMap((column) => [0, 1].flatMap((slice) => [0, 1].map((lane) => 100 * slice + 6 * row + 2 * column + lane))));
  assert.deepEqual([...total], rows);
});

test("slices that are zero decide no exponent", () => {
  for (const parts of [[0, 1.5], [1.5, 0], [0, 0, 1.5, 0]]) {
    assert.equal(summed(parts, new Float32Array(1), parts.map((part) => (part ? 0 : 280))), 1.5);
  }
  assert.equal(summed([0, -0], new Float32Array(1), [280, 0]), 0);
});

test("an exponent that fits goes back into the numbers, one that does not becomes a power of ten", () => {
  const fits = new Float64Array([3, -1]);
  assert.equal(finish(fits, 10, "float64"), 0);
  assert.deepEqual([...fits], [3072, -1024]);
  const beyond = new Float64Array([1]);
  assert.equal(finish(beyond, 10_000, "float64"), 3010);
  assert.equal(beyond[0], 1.9950631168807584); // 2**10000 = 1.99506311688075838488...e3010
});
