/**
 * The engine for Python, importable there as `tensorloom_page.engine`; also what `bench` times.
 *
 * Programs are known by numbers. One engine for each number of threads, made when first asked for;
 * bytes come as Python buffers or typed arrays and are copied once, into the engine's memory.
 */

import type { BuildRecord } from "../messages.ts";
import type { PyProxy } from "../pyodide.d.ts";
import { withBytes } from "../webgpu.ts";
import { type Compiled, readCompiled } from "./compiledFile.ts";
import { type Runtime, startEngine, startTeam } from "./engine.ts";
import { measure } from "./measure.ts";
import type { LoadedProgram } from "./program.ts";

export interface EngineBridge {
  /** Threads that an engine may have here; 1 where the page is not isolated. */
  readonly mostThreads: number;
  /** Loads the first program of a compiled file; for more than one thread its helpers start. */
  open(file: PyProxy | Uint8Array): Promise<number>;
  /** Gives an input its numbers; a run that is under way by steps ends. */
  write(program: number, input: number, bytes: PyProxy | Uint8Array): void;
  run(program: number): void;
  /** Runs on for a moment; the multiply-adds done so far, or -1 after the last. */
  step(program: number): number;
  /** Copies the last result into a Python buffer, of a sliced run under way the sum so far; the power of ten that belongs to it. */
  read(program: number, out: PyProxy): number;
  /** Copies what the last run left in a buffer, its result or one that it keeps, into a Python buffer. */
  made(program: number, buffer: number, out: PyProxy): void;
  /** JSON: exponents that the last run took out of buffers, `[buffer, exponent]`. */
  taken(program: number): string;
  /** So many runs in a row [ms]. */
  spent(program: number, runs: number): number;
  /** JSON: median and best duration [ms] and number of windows. */
  time(program: number, minMs: number, warmupMs: number): string;
  release(program: number): void;
  /** JSON, by number of threads. */
  counters(): string;
}

type Bytes = PyProxy | Uint8Array;

/** More threads than this were never measured. */
const MOST_THREADS = 8;

/** How long a step goes on: coming back costs Python microseconds, and the page hears of it 50 times a second at most [ms]. */
const STEP_MS = 10;

export function engineBridge(base: string, build: BuildRecord, now: () => number = () => performance.now()): EngineBridge {
  const engines = new Map<number, Promise<Runtime>>();
  let single: Runtime | null = null;
  const programs = new Map<number, LoadedProgram>();
  const stepping = new Map<number, Generator<number, void>>();
  let next = 1;
  const makeWorker = () => new Worker(new URL(`${build.app}helper.worker.js`, base), { type: "module" });
  const one = (compiled: Compiled) => (single ??= startEngine(compiled));

  const team = (compiled: Compiled): Promise<Runtime> => {
    const known = engines.get(compiled.threads);
    if (known) return known;
    const made = startTeam(compiled, compiled.threads, makeWorker);
    engines.set(compiled.threads, made);
    made.catch(() => engines.delete(compiled.threads));
    return made;
  };
  const loaded = (program: number): LoadedProgram => {
    const found = programs.get(program);
    if (!found) throw new Error(`No program ${program} is loaded.`);
    return found;
  };

  return {
    mostThreads: globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1,
    async open(file) {
      const compiled = firstOf(file);
      const engine = compiled.threads > 1 ? await team(compiled) : one(compiled);
      programs.set(next, engine.load(compiled));
      return next++;
    },
    write(program, input, bytes) {
      // New numbers begin a new run: one that was given up half way must not go on with them.
      stepping.delete(program);
      seen(bytes, (view) => loaded(program).write(input, view));
    },
    run: (program) => loaded(program).run(),
    step(program) {
      let steps = stepping.get(program);
      if (!steps) stepping.set(program, (steps = loaded(program).steps()));
      const end = now() + STEP_MS;
      let found = steps.next();
      while (!found.done && now() < end) found = steps.next();
      if (found.done) stepping.delete(program);
      return found.done ? -1 : found.value;
    },
    read(program, out) {
      const { bytes, log10Scale } = loaded(program).result();
      withBytes(out, (view) => view.set(bytes));
      return log10Scale;
    },
    made: (program, buffer, out) => withBytes(out, (view) => view.set(loaded(program).made(buffer))),
    taken: (program) => JSON.stringify(loaded(program).exponents()),
    spent(program, runs) {
      const found = loaded(program);
      const start = performance.now();
      for (let number = 0; number < runs; number += 1) found.run();
      return performance.now() - start;
    },
    time(program, minMs, warmupMs) {
      const found = loaded(program);
      return JSON.stringify(measure(() => found.run(), minMs, warmupMs));
    },
    release(program) {
      programs.get(program)?.release();
      programs.delete(program);
      stepping.delete(program);
    },
    counters: () => JSON.stringify({ programs: programs.size, engine: single?.counters() ?? null }),
  };
}

function firstOf(file: Bytes): Compiled {
  // Compiled here a moment ago, so its hash needs no look.
  const [compiled] = seen(file, (view) => readCompiled(view.slice())).programs;
  if (!compiled) throw new Error("This file holds no program.");
  return compiled;
}

function seen<T>(bytes: Bytes, use: (view: Uint8Array) => T): T {
  if (bytes instanceof Uint8Array) return use(bytes);
  let found: { value: T } | null = null;
  withBytes(bytes, (view) => {
    found = { value: use(view) };
  });
  return (found as unknown as { value: T }).value;
}
