/**
 * The Python worker: starts Pyodide, builds or restores the Panel document, links it to the page's.
 *
 * Two ways to start, chosen by the page: "snapshot" restores a heap image in which the application
 * is already imported; "pyc" imports it from compiled archives. Any failure is said to the page,
 * which then starts a fresh worker the other way; this worker never limps on.
 */

import { unpack } from "./archive.ts";
import { createKernelStore } from "./database.ts";
import { createGpuExecutor } from "./webgpu.ts";
import { engineBridge } from "./engine/bridge.ts";
import { engineFeatures } from "./features.ts";
import { fetchOne } from "./fetching.ts";
import { fetchBeside } from "./fetchingBeside.ts";
import type { BuildRecord, EngineFeatures, FromWorker, StartMode, ToWorker } from "./messages.ts";
import type { Pyodide, PyProxy } from "./pyodide.d.ts";
import { SITE_PACKAGES, startFromArchives } from "./startPyc.ts";
import { startFromSnapshot } from "./startSnapshot.ts";
import { searchControl } from "./searchControl.ts";

const scope = globalThis as unknown as DedicatedWorkerGlobalScope;

function say(message: FromWorker, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

let pyodide: Pyodide | null = null;
let statics: PyProxy | null = null;
let features: EngineFeatures | null = null;

async function start(base: string, build: BuildRecord, mode: StartMode, reason: string): Promise<void> {
  const status = (message: string, fraction: number) => say({ type: "status", message, fraction });
  const fetched = fetchBeside(base, build, mode, status);
  // Asking for a GPU takes a while where its process must start first; Python need not wait for it.
  const asked = engineFeatures();
  pyodide = mode === "snapshot" ? await startFromSnapshot(base, build, fetched, status) : await startFromArchives(base, build, fetched, status);
  // For the console of the developer tools, under its usual name.
  Object.assign(globalThis, { pyodide });
  features = { ...(await asked), snapshot: mode === "snapshot", snapshotReason: reason };
  registerPageModule(pyodide, base, build, features);
  statics = pyodide.pyimport("tensorloom.view.static");
  performance.mark("document told");
  say({ type: "document", texts: mode === "snapshot" ? null : documentTexts(statics) });
}

function documentTexts(module: PyProxy): [string, string, string] {
  const texts = (module.document_texts as unknown as PyProxy)() as PyProxy;
  const found = texts.toJs() as [string, string, string];
  texts.destroy();
  return found;
}

/** The engine's bridge for Python, importable there as `tensorloom_page`. */
function registerPageModule(python: Pyodide, base: string, build: BuildRecord, found: EngineFeatures): void {
  python.registerJsModule("tensorloom_page", {
    features: JSON.stringify(found),
    now: () => performance.now(),
    memory: () => python._module.memory,
    instantiate: (bytes: Uint8Array, imports: WebAssembly.Imports) =>
      new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), imports),
    gpu: createGpuExecutor(),
    engine: engineBridge(base, build),
    search: searchControl(base, build),
    kernelStore: createKernelStore(),
    loadPackage: async (name: string) => {
      unpack(python.FS, await fetchOne(new URL(`${build.python}${name}.bin.gz`, base)), SITE_PACKAGES);
      python.runPython("import importlib; importlib.invalidate_caches()");
    },
  });
}

async function linked(): Promise<void> {
  if (!statics || !features) return;
  performance.mark("page embedded");
  const link = statics.link as unknown as PyProxy;
  await (link((patch: unknown, buffers: Map<string, ArrayBuffer>) => say({ type: "patch", patch: withNulls(patch), buffers })) as Promise<unknown>);
  performance.mark("linked");
  say({ type: "ready", features, cpuMs: performance.now() });
}

/** The same value in place; `None` in a Python list comes as `undefined`, which JSON and Bokeh write as null. */
function withNulls(value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) value.forEach((inner, place) => (value[place] = withNulls(inner)));
  else if (value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) record[key] = withNulls(record[key]);
  }
  return value;
}

/** Calls under way, as Python sees them: whether their caller still wants them, and where news go. */
const watches = new Map<number, { stopped: boolean; tell: (text: string) => void }>();

async function call(id: number, method: string, args: string, buffers: ArrayBuffer[]): Promise<void> {
  if (!pyodide) return;
  const watch = { stopped: false, tell: (text: string) => say({ type: "news", id, text }) };
  watches.set(id, watch);
  const bridge = pyodide.pyimport("tensorloom.view.bridge");
  const callee = bridge.call as unknown as PyProxy;
  try {
    const views = buffers.map((buffer) => new Uint8Array(buffer));
    const answer = (await (callee(method, args, views, watch) as Promise<PyProxy>)) as PyProxy;
    const [ok, text, arrays] = answer.toJs() as [boolean, string, Uint8Array[]];
    answer.destroy();
    const out = arrays.map((array) => (array.slice().buffer as ArrayBuffer));
    say({ type: "reply", id, ok, text, buffers: out }, out);
  } catch (error) {
    const record = { code: "internal", message: String(error).slice(-400), hint: "Please report this.", where: {} };
    say({ type: "reply", id, ok: false, text: JSON.stringify(record), buffers: [] });
  } finally {
    watches.delete(id);
  }
}

async function patch(change: unknown): Promise<void> {
  if (!statics) return;
  try {
    const apply = statics.apply_patch as unknown as PyProxy;
    await (apply(change) as Promise<unknown>);
  } finally {
    say({ type: "idle" });
  }
}

/** What went wrong, in its first line, and where; `stack` begins with the message in V8 only. */
function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? "";
  return stack.includes(error.message) ? stack : `${String(error)}\n${stack}`;
}

scope.onmessage = (event: MessageEvent<ToWorker>) => {
  const message = event.data;
  const fail = (error: unknown) => say({ type: "failed", message: described(error).slice(0, 4000) });
  switch (message.type) {
    case "start":
      start(message.base, message.build, message.mode, message.reason).catch(fail);
      break;
    case "linked":
      linked().catch(fail);
      break;
    case "patch":
      patch(message.patch).catch((error: unknown) => console.error(error));
      break;
    case "call":
      void call(message.id, message.method, message.args, message.buffers);
      break;
    case "cancel": {
      const watch = watches.get(message.id);
      if (watch) watch.stopped = true;
      break;
    }
    default:
      message satisfies never;
  }
};
