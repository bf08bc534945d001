/**
 * A compiled program in the engine's memory: settled once, replayed as often as numbers change.
 *
 * The same rules as `execute/wasm/replay.py`: exponents are taken out of inputs that have left the
 * safe range when they are written, and out of intermediates when the driver stops at one.
 */

import type { Compiled } from "./compiledFile.ts";
import type { KernelTable } from "./modules.ts";
import type { EngineMemory } from "./memory.ts";
import { absmax, finish, safeLog2, scalarsOf, scale, shiftFor, SliceSum } from "./scaling.ts";
import { JOB, JOB_BYTES, type Team } from "./team.ts";

const RECORD_WORDS = 16;
const [SLOT, LEFT, OUT, DESCRIPTOR, WORKSPACE] = [0, 1, 3, 4, 5];
const RECORD_BYTES = 64;
/** Before the addresses in the table of fused groups. */
const STATUS_BYTES = 8;

export interface Engine {
  memory: EngineMemory;
  table: KernelTable;
  workspace: number;
  team: Team | null;
}

/** Bytes of the number 1 in each type. */
const ONES: Record<Compiled["dtype"], ArrayBufferView> = {
  float32: new Float32Array([1]),
  float64: new Float64Array([1]),
  complex64: new Float32Array([1, 0]),
  complex128: new Float64Array([1, 0]),
};

export class LoadedProgram {
  private readonly places: number[] = [];
  /** Kernels that it uses. */
  private readonly taken: string[] = [];
  private readonly addresses: number[];
  private readonly records: number;
  private readonly descriptors: number;
  /** Records of the steps of each fused group, by the group's record. */
  private readonly unfused: Map<number, [first: number, last: number]>;
  private readonly scanned: number;
  private readonly out: number;
  private readonly total: number;
  private readonly jobs: number[];
  private readonly inputExponents: number[];
  private readonly high: number;
  private readonly low: number;
  private readonly resultBytes: number;
  private exponent = 0;
  /** Exponents taken out of intermediates, by buffer. */
  private readonly rescaled = new Map<number, number>();
  /** Of a sliced run under way. */
  private sum: SliceSum | null = null;
  private released = false;

  constructor(
    private readonly engine: Engine,
    readonly compiled: Compiled,
  ) {
    const { itemBytes, elements, result } = compiled;
    this.high = 2 ** safeLog2(compiled.dtype);
    this.low = 1 / this.high;
    this.resultBytes = itemBytes * compiled.shape.reduce((product, size) => product * size, 1);
    this.inputExponents = new Array<number>(compiled.inputs).fill(0);
    try {
      const slots = compiled.modules.map(({ name, bytes }) => this.take(keyOf(name, bytes), bytes));
      this.scanned = this.hold(8);
      this.out = this.hold(itemBytes * (elements[result] ?? 1));
      this.total = compiled.slices.length > 0 ? this.hold(this.resultBytes) : this.out;
      this.addresses = this.placed();
      this.unfused = new Map((compiled.fused ?? []).map(([record, first, last]) => [record, [first, last]]));
      this.descriptors = this.hold(compiled.descriptors.byteLength);
      engine.memory.words(this.descriptors, compiled.descriptors.length).set(compiled.descriptors);
      this.records = this.hold(compiled.words.byteLength);
      this.settle(slots);
      this.address(new Array<number>(compiled.inputs).fill(0));
      this.jobs = engine.team ? compiled.groups.map((group) => (group[2] ? this.job(group[0], group[1]) : 0)) : [];
    } catch (error) {
      // Memory that cannot grow, or a kernel that is refused: what was taken by then is given back.
      this.release();
      throw error;
    }
  }

  /** Gives an input its numbers, `bytes * 2**exponent`: raw little-endian bytes in C order, complex interleaved. */
  write(number: number, bytes: Uint8Array, exponent = 0): void {
    const { elements, itemBytes, inputs, dtype, check } = this.compiled;
    const wanted = (elements[number] ?? 0) * itemBytes;
    if (number >= inputs || bytes.byteLength !== wanted) throw new Error(`Input ${number} has ${wanted} bytes, not ${bytes.byteLength}.`);
    const { memory, table } = this.engine;
    const start = this.addresses[number] as number;
    memory.bytes(start, wanted).set(bytes);
    this.inputExponents[number] = exponent;
    memory.words(this.scanned, 2).set([start, wanted]);
    if (table.driver.scan(this.scanned, 0, 1, check, this.low, this.high) === 1) return;
    const parts = scalarsOf(dtype, memory.bytes(start, wanted));
    const shift = shiftFor(absmax(parts), dtype);
    scale(parts, -shift);
    this.inputExponents[number] = exponent + shift;
  }

  /** Contracts; the result stays in the engine's memory. */
  run(): void {
    if (this.compiled.slices.length > 0) {
      for (const _ of this.steps());
      return;
    }
    this.rescaled.clear();
    this.exponent = this.inputExponent + this.replay(0, this.compiled.groups.length);
  }

  /** The same with a stop after every group and slice: the multiply-adds done so far. */
  *steps(): Generator<number, void> {
    const { groups, slices, dtype, itemBytes, resultAxes, elements, result, once = 0 } = this.compiled;
    this.rescaled.clear();
    let exponent = this.inputExponent;
    if (slices.length === 0) {
      for (let number = 0; number < groups.length; number += 1) {
        exponent += this.replay(number, number + 1);
        yield groups[number]?.[3] ?? 0;
      }
      this.exponent = exponent;
      return;
    }
    const sum = (this.sum = new SliceSum(resultAxes, dtype.startsWith("complex") ? 2 : 1));
    this.totalBytes().fill(0);
    this.address(new Array<number>(this.compiled.inputs).fill(0));
    for (let number = 0; number < once; number += 1) {
      exponent += this.replay(number, number + 1);
      yield groups[number]?.[3] ?? 0;
    }
    const first = groups[once - 1]?.[3] ?? 0;
    let done = first;
    for (const { starts, out } of this.slices()) {
      this.address(starts);
      let own = exponent;
      for (let number = once; number < groups.length; number += 1) {
        own += this.replay(number, number + 1);
        if (number < groups.length - 1) yield done + (groups[number]?.[3] ?? 0) - first;
      }
      const part = scalarsOf(dtype, this.engine.memory.bytes(this.out, itemBytes * (elements[result] ?? 1)));
      sum.add(scalarsOf(dtype, this.totalBytes()), out, part, own);
      done += (groups.at(-1)?.[3] ?? 0) - first;
      yield done;
    }
    sum.finish(scalarsOf(dtype, this.totalBytes()));
    this.exponent = sum.exponent ?? 0;
    this.sum = null;
  }

  /** A copy of the last run's result, and the power of ten that belongs to it; of a sliced run under way what is added up. */
  result(): { bytes: Uint8Array; log10Scale: number } {
    const bytes = this.totalBytes().slice();
    const parts = scalarsOf(this.compiled.dtype, bytes);
    this.sum?.finish(parts);
    const exponent = this.sum ? (this.sum.exponent ?? 0) : this.exponent;
    return { bytes, log10Scale: finish(parts, exponent, this.compiled.dtype) };
  }

  /** What the last run left in a buffer: its result, or one that the program keeps. A view. */
  made(buffer: number): Uint8Array {
    const size = this.compiled.elements[buffer];
    if (size === undefined) throw new Error(`There is no buffer ${buffer}.`);
    return this.engine.memory.bytes(this.addresses[buffer] as number, size * this.compiled.itemBytes);
  }

  /** Exponents that the last run took out of buffers, inputs included. */
  exponents(): [buffer: number, exponent: number][] {
    return [...this.inputExponents.entries(), ...this.rescaled];
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.engine.team?.rest();
    for (const place of this.places) this.engine.memory.release(place);
    for (const name of this.taken) this.engine.table.drop(name);
  }

  private take(name: string, bytes: Uint8Array): number {
    const slot = this.engine.table.take(name, bytes);
    this.taken.push(name);
    return slot;
  }

  private hold(bytes: number): number {
    const place = this.engine.memory.allocate(bytes);
    this.places.push(place);
    return place;
  }

  private totalBytes(): Uint8Array<ArrayBuffer> {
    return this.engine.memory.bytes(this.total, this.resultBytes);
  }

  /** Address of every buffer, and last that of the constant 1. */
  private placed(): number[] {
    const { elements, itemBytes, inputs, offsets, result, arenaBytes, dtype } = this.compiled;
    const arena = this.hold(arenaBytes);
    const addresses = elements.map((size, number) => (number < inputs ? this.hold(size * itemBytes) : arena + (offsets[number] ?? 0)));
    addresses[result] = this.out;
    const one = ONES[dtype];
    const place = this.hold(one.byteLength);
    this.engine.memory.bytes(place, one.byteLength).set(new Uint8Array(one.buffer));
    return [...addresses, place];
  }

  /** The records with all that outlives a slice. */
  private settle(slots: number[]): void {
    const words = this.engine.memory.words(this.records, this.compiled.words.length);
    words.set(this.compiled.words);
    for (let at = 0; at < words.length; at += RECORD_WORDS) {
      words[at + SLOT] = slots[words[at + SLOT] as number] ?? 0;
      words[at + DESCRIPTOR] = (words[at + DESCRIPTOR] as number) + this.descriptors;
      words[at + WORKSPACE] = this.engine.workspace;
    }
  }

  /** Writes the operands' addresses into the records, inputs moved by their starts [elements]. */
  private address(starts: readonly number[]): void {
    const { operands, outOffsets, itemBytes } = this.compiled;
    const words = this.engine.memory.words(this.records, this.compiled.words.length);
    for (let record = 0; record * RECORD_WORDS < words.length; record += 1) {
      for (let place = 0; place < 3; place += 1) {
        const buffer = operands[3 * record + place] as number;
        words[RECORD_WORDS * record + LEFT + place] = (this.addresses[buffer] as number) + (starts[buffer] ?? 0) * itemBytes;
      }
      const out = RECORD_WORDS * record + OUT;
      words[out] = (words[out] as number) + (outOffsets[record] as number);
    }
    this.fillTable(words, starts);
  }

  /** Tells fused groups where the buffers are; what is looked at after one is its status. */
  private fillTable(words: Uint32Array, starts: readonly number[]): void {
    const { table, elements, itemBytes } = this.compiled;
    if (table === null || table === undefined) return;
    for (const record of this.unfused.keys()) words[RECORD_WORDS * record + OUT] = words[RECORD_WORDS * record + DESCRIPTOR] as number;
    const places = this.engine.memory.words(this.descriptors + 4 * table + STATUS_BYTES, elements.length);
    for (let buffer = 0; buffer < places.length; buffer += 1) places[buffer] = (this.addresses[buffer] as number) + (starts[buffer] ?? 0) * itemBytes;
  }

  private job(first: number, last: number): number {
    const place = this.hold(JOB_BYTES);
    const { memory } = this.engine;
    memory.bytes(place, JOB_BYTES).fill(0);
    memory.words(place + JOB.records, 3).set([this.records, first, last]);
    new Float64Array(memory.memory.buffer, place + JOB.low, 2).set([this.low, this.high]);
    return place;
  }

  private get inputExponent(): number {
    let sum = 0;
    for (const exponent of this.inputExponents) sum += exponent;
    return sum;
  }

  /** Replays groups; the exponents taken out on the way. */
  private replay(from: number, to: number): number {
    const { groups, dispatches } = this.compiled;
    const { team } = this.engine;
    let exponent = 0;
    for (let number = from; number < to; number += 1) {
      const [first, last, shared] = groups[number] as [number, number, boolean, number];
      if (shared && team) {
        if (team.lead(this.jobs[number] as number)) exponent += this.rescale(dispatches[last - 1] as number);
        continue;
      }
      exponent += this.replayAlone(first, last);
    }
    return exponent;
  }

  /** Replays records on this thread; the exponents taken out on the way. */
  private replayAlone(first: number, last: number): number {
    let exponent = 0;
    while (first < last) {
      const reached = this.engine.table.driver.run(this.records, first, last, this.low, this.high);
      first = Math.abs(reached);
      if (reached >= 0) continue;
      const steps = this.unfused.get(first - 1);
      exponent += steps ? this.replayAlone(...steps) : this.rescale(this.compiled.dispatches[first - 1] as number);
    }
    return exponent;
  }

  /** Takes the exponent out of what a dispatch made, in place. */
  private rescale(dispatch: number): number {
    const buffer = this.compiled.outs[dispatch] as number;
    const parts = scalarsOf(this.compiled.dtype, this.made(buffer));
    const shift = shiftFor(absmax(parts), this.compiled.dtype);
    scale(parts, -shift);
    if (shift !== 0) this.rescaled.set(buffer, shift);
    return shift;
  }

  /** Every slice, the last sliced index running fastest. */
  private *slices(): Generator<{ starts: number[]; out: number }> {
    const { slices, inputs } = this.compiled;
    const count = slices.reduce((product, [size]) => product * size, 1);
    for (let number = 0; number < count; number += 1) {
      const starts = new Array<number>(inputs).fill(0);
      let out = 0;
      let rest = number;
      for (const [size, moved, stride] of [...slices].reverse()) {
        const value = rest % size;
        rest = Math.floor(rest / size);
        for (const [buffer, step] of moved) starts[buffer] = (starts[buffer] ?? 0) + value * step;
        out += value * (stride ?? 0);
      }
      yield { starts, out };
    }
  }
}

/** Kernels of one name and length are one kernel in an engine: its features never change. */
function keyOf(name: string, bytes: Uint8Array): string {
  return `${name}/${bytes.length}`;
}

export { RECORD_BYTES };
