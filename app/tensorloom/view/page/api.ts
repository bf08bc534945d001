/**
 * `window.tensorloom`: the same engine and document as the page's own controls, without the mouse.
 *
 * Documented in `docs/api.md`. Calls wait for Python; arrays travel as bytes, never as JSON.
 * Errors reject with Python's record: `{code, where, hint, message}`.
 */

import type { RemoteModule } from "../editor/remote/index.tsx";
import type { EditorStore } from "../editor/store.ts";
import type { Backend, DocumentJson, DType, RunPlace } from "../editor/protocol.ts";
import { encodeLink, packed } from "../editor/model/link.ts";

export interface PythonCalls {
  readonly ready: Promise<void>;
  call(method: string, args: unknown, buffers?: ArrayBuffer[], options?: CallOptions): Promise<{ text: string; buffers: ArrayBuffer[] }>;
}

/** What a caller may want beside the answer. */
export interface CallOptions {
  /** Gives the answer up. */
  signal?: AbortSignal | undefined;
  /** Takes news as JSON. */
  tell?: ((text: string) => void) | undefined;
}

type Numbers = Float32Array | Float64Array;

export interface GivenArray {
  shape: number[];
  /** Flat, C order; complex numbers interleaved as (re, im). */
  data: ArrayLike<number>;
  dtype?: DType;
}

export interface OpenOptions {
  format?: "einsum" | "network-json" | "qasm" | "qsim" | "uai" | "document";
  text: string;
  name?: string;
  arrays?: GivenArray[];
  sizes?: Record<string, number>;
  seed?: number;
  output?: string;
  dtype?: DType;
}

export interface RunResult {
  value: Numbers;
  shape: number[];
  dtype: DType;
  backend: Exclude<RunPlace, "auto">;
  ms: number;
  predictedMs: number;
  peakBytes: number;
  mulAdds: number;
  errorBound: number;
  log10Scale: number;
  notes: string[];
}

export interface RunNews {
  /** "running" or "done" here; on a worker also "queued" and "searching". */
  state: string;
  /** Of the work, from 0 to 1. */
  fraction: number;
  /** What is left, as far as can be told [ms]. */
  etaMs: number | null;
  /** Where it is, in words; here only. */
  message?: string;
  /** Worker only: the job. */
  job?: string;
}

export interface RunOptions {
  backend?: RunPlace;
  dtype?: DType;
  /**
   * Worker only: the worker that computes it, left out the one that the page is connected to, and
   * stays connected to; and what contracts there, left out the worker's own choice.
   */
  worker?: { address?: string; token?: string; backend?: string };
  /**
   * Worker only: by tensor id, one array for each of many contractions along a first axis more than
   * the tensor has. The value gets that axis too, and is not shown: it is not the drawing's.
   */
  batch?: Record<string, GivenArray>;
  /** Called whenever the run has come further: not in the first 0.2 s, and at last when it is done. */
  onProgress?: (news: RunNews) => void;
  /** Cancels the run; it then rejects with the code `cancelled`. */
  signal?: AbortSignal;
}

export interface BenchOptions {
  backend?: Backend;
  /** Threads at most; more than one only where the page is isolated. */
  threads?: number;
  /** How long the windows last together at least [ms]. */
  minMs?: number;
  /** Addresses of raw little-endian arrays in C order, complex interleaved; random numbers if absent. */
  inputs?: string[];
  /** Address of the right answer, in the same form and type. */
  expect?: string;
}

export interface BenchResult {
  /** 2 FLOP per multiply-add, 8 if complex. */
  gflops: number;
  ms: number;
  /** max|C - expect| / max|expect|; null where a number left the range. */
  maxErr: number | null;
  kernel: string;
  /** Tuning, comparing threads, compiling and warming; what is known is not tuned again. */
  tuneMs: number;
  /** Measuring the device, once, before that. */
  deviceMs: number;
  backend: Exclude<Backend, "auto">;
  threads: number;
  /** What `maxErr` was measured against. */
  reference: string;
  mulAdds: number;
  /** What was not done as asked, in words. */
  notes: string[];
}

export interface Embedded {
  /** Shows the drawing and its number without Python; undefined where it would be too long. */
  link?: string;
  /** The same as a file, for `embed.html?file=ADDRESS`. */
  file: ArrayBuffer;
}

/** Some servers and programs cut longer addresses. */
const LONGEST_LINK = 100_000;

export interface TensorloomApi {
  ready: Promise<void>;
  open(options: OpenOptions): Promise<DocumentJson>;
  document(): DocumentJson;
  link(): Promise<string>;
  run(options?: RunOptions): Promise<RunResult>;
  embed(): Promise<Embedded>;
  bench(equation: string, shapes: number[][], dtype?: DType, options?: BenchOptions): Promise<BenchResult>;
}

const IS_SINGLE: Record<DType, boolean> = { float32: true, complex64: true, float64: false, complex128: false };
const DTYPES = Object.keys(IS_SINGLE);

function refused(code: string, message: string, hint: string): { code: string; where: object; hint: string; message: string } {
  return { code, where: {}, hint, message };
}

/** The options of a call, refused unless they are an object. */
function optionsOf<T extends object>(given: T): T {
  if (typeof given !== "object" || given === null) throw refused("bad-option", `The options are ${String(given)}.`, "Give an object such as {}.");
  return given;
}

/** What is sent, refused where it cannot be written as JSON. */
function sendable<T extends object>(asked: T): T {
  try {
    JSON.stringify(asked);
  } catch {
    throw refused("bad-option", "An option is or holds a BigInt, or holds itself.", "Give plain numbers, text, lists and objects.");
  }
  return asked;
}

/** The options of a run, with what is called while it goes on. */
function runOptionsOf(given: RunOptions): RunOptions {
  const { onProgress, signal } = optionsOf(given);
  if (onProgress && typeof onProgress !== "function") throw refused("bad-option", `onProgress is ${String(onProgress)}.`, "Give a function.");
  // Asked for what it does: one from another frame has a class of its own.
  if (signal && (typeof signal.aborted !== "boolean" || typeof signal.addEventListener !== "function"))
    throw refused("bad-option", `signal is ${String(signal)}.`, "Give the signal of an AbortController.");
  return given;
}

function numbersOf(array: GivenArray, position: number | string): { shape: number[]; dtype: DType; bytes: ArrayBuffer } {
  if (typeof array !== "object" || array === null) throw refused("bad-array", `Array ${position} is ${String(array)}.`, "Give {shape, data}.");
  const dtype = array.dtype ?? "float64";
  if (!DTYPES.includes(dtype)) throw refused("bad-dtype", `Array ${position} has the type ${String(dtype)}.`, `Choose ${DTYPES.join(", ")}.`);
  if (!Array.isArray(array.shape)) throw refused("bad-array", `Array ${position} has no shape.`, "Give a list of whole numbers.");
  const { data, shape } = array;
  const other = () => refused("not-numbers", `Array ${position} holds something that is not a number.`, "Give a flat list of numbers, complex ones as re, im, re, im.");
  if (typeof data !== "object" || data === null || (Array.isArray(data) && !data.every((item) => typeof item === "number"))) throw other();
  try {
    const plain = IS_SINGLE[dtype] ? Float32Array.from(data) : Float64Array.from(data);
    return { shape, dtype, bytes: plain.buffer };
  } catch {
    // BigInts in an array of their own.
    throw other();
  }
}

export function createApi(python: PythonCalls, store: () => EditorStore | undefined, loadRemote: () => Promise<RemoteModule>): TensorloomApi {
  const ready = python.ready.then(() => answered(store));
  const settled = async (): Promise<EditorStore> => {
    await ready;
    const found = store();
    if (!found) throw refused("no-workbench", "The workbench is not on this page.", "Reload the page.");
    await found.settled();
    return found;
  };
  return {
    ready,
    async open(options) {
      const shown = await settled();
      const { text, format, name, arrays = [], ...rest } = optionsOf(options);
      if (!Array.isArray(arrays)) throw refused("wrong-arrays", "The arrays are no list.", "Give one {shape, data} per operand.");
      if (typeof text !== "string") throw refused("no-text", "There is no text to open.", "Give it as `text`.");
      const packed = arrays.map(numbersOf);
      const described = packed.map(({ shape, dtype }) => ({ shape, dtype }));
      await python.call(
        "open",
        sendable({ text, format: format ?? null, name: name ?? "", options: rest, arrays: described }),
        packed.map(({ bytes }) => bytes),
      );
      await shown.settled();
      return shown.get().document;
    },
    document: () => {
      const found = store();
      if (!found) throw refused("no-workbench", "The workbench is not drawn yet.", "Wait for `tensorloom.ready`.");
      return structuredClone(found.get().document);
    },
    async link() {
      const shown = await settled();
      return `${location.href.split("#")[0]}#${await encodeLink(shown.get().document)}`;
    },
    async run(options = {}) {
      runOptionsOf(options);
      await settled();
      if (options.backend === "worker") return runOnWorker(await loadRemote(), options);
      if (options.batch) throw refused("batch-here", "A batch is computed on a worker only.", 'Give backend: "worker".');
      const { backend = "auto", dtype = null, onProgress, signal } = options;
      // What computes it may have more to tell before it hears that nobody wants it.
      const tell = onProgress && ((text: string) => signal?.aborted || onProgress(JSON.parse(text) as RunNews));
      const asked = sendable({ backend, dtype, watched: onProgress !== undefined || signal !== undefined });
      const { text, buffers } = await unlessAborted(signal, () => python.call("run", asked, [], { signal, tell }));
      onProgress?.({ state: "done", fraction: 1, etaMs: 0 });
      const result = JSON.parse(text) as Omit<RunResult, "value">;
      const bytes = buffers[0] ?? new ArrayBuffer(0);
      return { value: IS_SINGLE[result.dtype] ? new Float32Array(bytes) : new Float64Array(bytes), ...result };
    },
    async embed() {
      await settled();
      const [file = new ArrayBuffer(0)] = (await python.call("embed", {})).buffers;
      const link = `${new URL("embed.html", document.baseURI).href}#${await packed(new Uint8Array(file))}`;
      return link.length > LONGEST_LINK ? { file } : { link, file };
    },
    async bench(equation, shapes, dtype = "float32", options = {}) {
      const { backend = "auto", threads = 1, minMs = 200, inputs, expect } = optionsOf(options);
      if (typeof equation !== "string") throw refused("not-an-equation", `The equation is ${typeof equation}.`, 'Begin with text such as "ij,jk->ik".');
      if (!Array.isArray(shapes)) throw refused("bad-array", "The shapes are no list.", "Give one list of whole numbers per operand.");
      if (inputs && !Array.isArray(inputs)) throw refused("bad-option", "The inputs are no list.", "Give one address per operand, or none.");
      if (inputs && inputs.length !== shapes.length)
        throw refused("wrong-arrays", `There are ${inputs.length} inputs for ${shapes.length} shapes.`, "Give one address per operand, or none.");
      const asked = sendable({ equation, shapes, dtype, backend, threads, minMs, inputs: inputs !== undefined, expect: expect !== undefined });
      const given = (inputs ?? []).map((address, place) => fetched(address, `Input ${place}`));
      const files = await Promise.all(expect === undefined ? given : [...given, fetched(expect, "The expected result")]);
      return JSON.parse((await python.call("bench", asked, files)).text) as BenchResult;
    },
  };
}

/** What is shown, computed on a worker; the value of a job is that of the drawing it was sent with. */
async function runOnWorker({ desk }: RemoteModule, { dtype = undefined, worker, batch, onProgress, signal }: RunOptions): Promise<RunResult> {
  if (dtype !== undefined && !DTYPES.includes(dtype)) throw refused("bad-dtype", `${String(dtype)} is not a number type.`, `Choose ${DTYPES.join(", ")}.`);
  const arrays = batch && Object.fromEntries(Object.entries(batch).map(([id, array]) => [id, numbersOf(array, `of tensor ${id}`)]));
  const named = worker?.address === undefined ? undefined : { address: worker.address, token: worker.token ?? "" };
  const { job, result, value } = await desk.run({ worker: named, dtype: dtype ?? null, backend: worker?.backend, ...(arrays ? { batch: arrays } : {}), signal, onProgress });
  return {
    value: IS_SINGLE[result.dtype] ? new Float32Array(value) : new Float64Array(value),
    shape: result.shape,
    dtype: result.dtype,
    backend: "worker",
    ms: result.ms,
    predictedMs: job.estimate?.predictedMs ?? result.ms,
    peakBytes: Number(job.estimate?.peakBytesPerWorker ?? 0),
    mulAdds: Number(result.mulAdds),
    errorBound: result.errorBound,
    log10Scale: result.log10Scale,
    notes: [`Computed by ${result.backend} on the worker.`],
  };
}

/** The answer, or a rejection as soon as nobody wants it; what computes it stops a moment later. */
async function unlessAborted<T>(signal: AbortSignal | undefined, start: () => Promise<T>): Promise<T> {
  if (!signal) return start();
  const cancelled = () => refused("cancelled", "This run was cancelled.", "Run it again if you want its value.");
  if (signal.aborted) throw cancelled();
  return new Promise((resolve, reject) => {
    const give = () => reject(cancelled());
    signal.addEventListener("abort", give, { once: true });
    start()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", give));
  });
}

/** The bytes at an address. */
async function fetched(address: string, what: string): Promise<ArrayBuffer> {
  const asked = async () => fetch(new URL(address, document.baseURI));
  const response = await asked().catch((error: unknown) => {
    throw refused("not-fetched", `${what} could not be fetched from ${address}: ${String(error)}`, "Serve it from the page's own address.");
  });
  if (!response.ok) throw refused("not-fetched", `${what} could not be fetched from ${address}: ${response.status}`, "Check the address.");
  return response.arrayBuffer();
}

/** Resolves when the workbench is drawn and Python has answered its first message. */
function answered(store: () => EditorStore | undefined): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      const found = store();
      if (!found) setTimeout(look, 20);
      else if (found.get().ready) resolve();
      else {
        const stop = found.subscribe(() => {
          if (!found.get().ready) return;
          stop();
          resolve();
        });
      }
    };
    look();
  });
}
