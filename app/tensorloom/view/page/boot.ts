/**
 * Start-up of the static page: prerendered document first, Python when it comes.
 *
 * The page embeds `doc.json` at once (same model ids as the document in Python), so the workbench is
 * there before Python is. Bokeh events are queued until Python is linked. If the snapshot fails, a
 * fresh worker starts from archives; the user sees a word in the device line, nothing is lost.
 */

import type { RemoteModule } from "../editor/remote/index.tsx";
import type { EditorStore } from "../editor/store.ts";
import { stripWorkerLink } from "../editor/remote/linked.ts";
import { type CallOptions, createApi } from "./api.ts";
import type { BuildRecord, EngineFeatures, FromWorker, StartMode, ToWorker } from "../../../../workers/browser/messages.ts";

interface BokehDocument {
  on_change(callback: (event: BokehEvent) => void, batch: boolean): void;
  create_json_patch(events: BokehEvent[]): unknown;
  apply_json_patch(patch: unknown, buffers: Map<string, ArrayBuffer>): void;
}
interface BokehEvent {
  setter_id?: string | null;
  model?: unknown;
  attr?: string;
}
interface BokehRoot {
  model: { document: BokehDocument };
  remove(): void;
}
interface BokehGlobal {
  embed: { embed_items(docs: unknown, items: unknown): Promise<{ roots: Map<string, BokehRoot> }[]> };
  index: { roots: BokehRoot[] };
}

export interface BootStatus {
  message: string;
  fraction: number;
  ready: boolean;
  failed: boolean;
}

type Reply = { text: string; buffers: ArrayBuffer[] };

class Boot {
  status: BootStatus = { message: "Starting", fraction: 0, ready: false, failed: false };
  features: EngineFeatures | null = null;
  /** Milliseconds since navigation at which things happened; read by the start-up benchmark. */
  readonly marks: Record<string, number> = {};
  readonly ready: Promise<void>;
  private resolveReady: () => void = () => undefined;
  private readonly listeners = new Set<(status: BootStatus) => void>();
  private readonly calls = new Map<number, { resolve: (reply: Reply) => void; reject: (error: unknown) => void; tell?: CallOptions["tell"] }>();
  private nextCall = 1;
  private worker: Worker | null = null;
  private document: BokehDocument | null = null;
  private queue: BokehEvent[] = [];
  private busy = true;
  private patching = 0;
  private embeddedText = "";

  constructor(
    private readonly build: BuildRecord,
    private readonly base: string,
  ) {
    this.ready = new Promise((resolve) => {
      this.resolveReady = resolve;
    });
  }

  subscribe(listener: (status: BootStatus) => void): () => void {
    this.listeners.add(listener);
    listener(this.status);
    return () => this.listeners.delete(listener);
  }

  /** A request to Python's bridge; waits for Python. Rejects with Python's error record. */
  async call(method: string, args: unknown, buffers: ArrayBuffer[] = [], { signal, tell }: CallOptions = {}): Promise<Reply> {
    await this.ready;
    const id = this.nextCall++;
    const cancel = () => this.post({ type: "cancel", id });
    try {
      return await new Promise((resolve, reject) => {
        this.calls.set(id, { resolve, reject, tell });
        this.post({ type: "call", id, method, args: JSON.stringify(args), buffers });
        signal?.addEventListener("abort", cancel, { once: true });
        // It may have been given up while Python was not there yet.
        if (signal?.aborted) cancel();
      });
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  mark(name: string): void {
    this.marks[name] ??= performance.now();
  }

  say(change: Partial<BootStatus>): void {
    this.status = { ...this.status, ...change };
    const line = document.getElementById("tl-progress");
    if (line) line.textContent = this.status.ready ? "" : this.status.message;
    for (const listener of this.listeners) listener(this.status);
  }

  startWorker(mode: StartMode, reason: string): void {
    this.worker?.terminate();
    this.worker = new Worker(new URL(`${this.build.app}python.worker.js`, this.base), { type: "module" });
    this.worker.onmessage = (event: MessageEvent<FromWorker>) => void this.receive(event.data, mode);
    this.worker.onerror = (event) => this.failed(event.message || "The Python worker could not start.", mode);
    this.post({ type: "start", base: this.base, build: this.build, mode, reason });
  }

  async embed(docsJson: string, renderItems: string, rootIds: string): Promise<void> {
    const bokeh = (globalThis as unknown as { Bokeh: BokehGlobal }).Bokeh;
    for (const root of [...bokeh.index.roots]) root.remove();
    const holder = document.getElementById("tl-roots");
    if (!holder) throw new Error("The page has no place for the workbench.");
    const ids = JSON.parse(rootIds) as string[];
    holder.replaceChildren(
      ...ids.map((id, order) => {
        const place = document.createElement("div");
        place.id = `root-${id}`;
        place.className = order === 0 ? "tl-root" : "tl-root-hidden";
        return place;
      }),
    );
    const items = JSON.parse(renderItems) as { roots: Record<string, string>; root_ids: string[] }[];
    if (items[0]) {
      items[0].roots = Object.fromEntries(ids.map((id) => [id, `root-${id}`]));
      items[0].root_ids = ids;
    }
    const [views] = await bokeh.embed.embed_items(JSON.parse(docsJson), items);
    const first = views ? [...views.roots.values()][0] : undefined;
    if (!first) throw new Error("The document has no root.");
    this.document = first.model.document;
    this.document.on_change((event) => this.changed(event), false);
    this.embeddedText = docsJson;
    this.mark("embedded");
  }

  private post(message: ToWorker): void {
    this.worker?.postMessage(message);
  }

  private changed(event: BokehEvent): void {
    if (event.setter_id === "py" || this.patching > 0) return;
    if (this.busy) {
      this.queue = event.model && event.attr ? this.queue.filter((old) => !(old.model === event.model && old.attr === event.attr)) : this.queue;
      this.queue.push(event);
    } else this.send([event]);
  }

  private send(events: BokehEvent[]): void {
    if (!this.document) return;
    this.busy = true;
    this.post({ type: "patch", patch: this.document.create_json_patch(events) });
  }

  private async receive(message: FromWorker, mode: StartMode): Promise<void> {
    switch (message.type) {
      case "status":
        this.say({ message: message.message, fraction: message.fraction });
        break;
      case "document":
        // Model ids come from a counter, so a document built the same way has the same ids.
        await prerendered;
        if (message.texts && !sameIds(message.texts[0], this.embeddedText)) await this.embed(...message.texts);
        this.post({ type: "linked" });
        break;
      case "ready":
        this.features = message.features;
        this.marks.workerMs = message.cpuMs;
        this.mark("ready");
        this.say({ message: "", fraction: 1, ready: true });
        this.resolveReady();
        this.flush();
        break;
      case "patch":
        this.patching += 1;
        try {
          this.document?.apply_json_patch(message.patch, message.buffers);
        } finally {
          this.patching -= 1;
        }
        break;
      case "idle":
        this.flush();
        break;
      case "news":
        this.calls.get(message.id)?.tell?.(message.text);
        break;
      case "reply": {
        const call = this.calls.get(message.id);
        this.calls.delete(message.id);
        if (message.ok) call?.resolve({ text: message.text, buffers: message.buffers });
        else call?.reject(JSON.parse(message.text));
        break;
      }
      case "failed":
        this.failed(message.message, mode);
        break;
      default:
        message satisfies never;
    }
  }

  private flush(): void {
    const waiting = this.queue;
    this.queue = [];
    if (waiting.length > 0) this.send(waiting);
    else this.busy = false;
  }

  private failed(reason: string, mode: StartMode): void {
    console.warn(`Start by ${mode} failed: ${reason}`);
    if (mode === "snapshot") {
      const short = reason.split("\n")[0]?.slice(0, 160) ?? "";
      this.startWorker("pyc", short);
    } else this.say({ message: `Python could not start: ${reason.split("\n")[0]}. Reload to try again; your drawing is kept.`, failed: true });
  }
}

/** Whether two document texts hold the same models under the same ids. */
function sameIds(one: string, other: string): boolean {
  const ids = (text: string) => [...text.matchAll(/"id":\s*"([^"]+)"/g)].map((found) => found[1]).join();
  return ids(one) === ids(other);
}

// Before anything else: the token in such a link must not stay in the address bar.
stripWorkerLink();

const record = document.querySelector<HTMLMetaElement>('meta[name="tensorloom-build"]')?.content;
const build = JSON.parse(record ?? "{}") as BuildRecord;
const base = new URL(".", document.baseURI).href;
const boot = new Boot(build, base);
/** Panel asks for its components through es-module-shims; browsers that run this site need no shim. */
const importShim = Object.assign((address: string) => import(new URL(address, new URL(build.app, base)).href), { addImportMap: () => undefined });
/** The code that speaks with workers, from the same address as the editor takes it. */
const loadRemote = () => import(new URL("remote.js", new URL(build.app, base)).href) as Promise<RemoteModule>;
const held = globalThis as { tensorloomStore?: EditorStore };
Object.assign(globalThis, { importShim, tensorloomBoot: boot, tensorloom: createApi(boot, () => held.tensorloomStore, loadRemote) });

/** Why Python is not restored from the snapshot; empty where it is. */
function whyNoSnapshot(): string {
  if (!build.snapshot) return "this site was built without one";
  if (new URLSearchParams(location.search).get("start") === "pyc") return "asked for";
  // It was made where there is JSPI; elsewhere the table of functions has other places, and nothing fits.
  return "Suspending" in WebAssembly ? "" : "it needs JSPI";
}

const reason = whyNoSnapshot();
boot.startWorker(reason ? "pyc" : "snapshot", reason);

/** BokehJS and Panel, whose scripts run while the worker starts; this module does not wait for them. */
const libraries = new Promise<void>((resolve) => {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (document.readyState === "complete" || (navigation?.domContentLoadedEventStart ?? 0) > 0) resolve();
  else document.addEventListener("DOMContentLoaded", () => resolve(), { once: true });
});

const prerendered = (async () => {
  const text = await (await fetch(new URL(`${build.python}document.json`, base))).text();
  await libraries;
  boot.mark("libraries");
  const [docsJson, renderItems, rootIds] = JSON.parse(text) as [string, string, string];
  await boot.embed(docsJson, renderItems, rootIds);
})();
prerendered.catch((error: unknown) => boot.say({ message: `The workbench could not be drawn: ${String(error)}`, failed: true }));

/** Offline use; only once Python is there, so that it does not compete with the start for the line. */
async function keepForOffline(): Promise<void> {
  const address = new URL(`service-worker.js?start=${boot.features?.snapshot ? "snapshot" : "pyc"}`, base);
  await navigator.serviceWorker.register(address, { updateViaCache: "none" });
  const { active } = await navigator.serviceWorker.ready;
  active?.postMessage("loaded");
}
if ("serviceWorker" in navigator && globalThis.isSecureContext) {
  boot.ready.then(keepForOffline).catch((error: unknown) => console.warn(error));
}
