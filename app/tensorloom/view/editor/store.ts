/**
 * The page's one store: the document the user sees, its history, and what Python said about it.
 *
 * It lives as long as the page, longer than any mounted component: re-mounting the workbench, or
 * Python starting late or twice, loses nothing. Python gets the whole document once (`hello`) and
 * commands after that; live steps of a gesture are thinned, the last one always arrives.
 */

import { useSyncExternalStore } from "react";
import { type Drafts, noDrafts } from "./drafts.ts";
import { amend, cancel, commit, type History, live, newHistory, redo, undo } from "./model/history.ts";
import { applyAll, CommandError } from "./model/reducer.ts";
import type { Command, DeviceJson, DocumentJson, EquationSpan, ErrorJson, KernelsJson, MarkShape, Notice, PartialJson, PlanJson, Request, ResultJson, RunPlace } from "./protocol.ts";
import type { RemoteView } from "./remote/view.ts";

export interface Selection {
  tensors: ReadonlySet<string>;
  indices: ReadonlySet<string>;
}

export interface Toast {
  id: number;
  error: ErrorJson;
  readonly passing?: boolean;
}

export type Theme = "system" | "light" | "dark";
export type DialogName = "templates" | "open" | "share" | "export" | "gestures" | "commands" | "kernels" | "worker";

export interface EditorState {
  document: DocumentJson;
  canUndo: boolean;
  canRedo: boolean;
  selection: Selection;
  hover: { tensor?: string; index?: string } | null;
  equation: { text: string; spans: EquationSpan[]; named: boolean; error: ErrorJson | null } | null;
  plan: PlanJson | null;
  /** Steps done under the slider: 0 before the first, n after the last; null = not touched. */
  planStep: number | null;
  result: ResultJson | null;
  stale: string | null;
  /** Whether, of the drawings that Python has answered, the value is not that of the last: it is on its way. */
  behind: boolean;
  /** What the run in progress, or the one that was stopped, has added up. */
  partial: PartialJson | null;
  progress: { done: number; etaMs: number | null; message: string } | null;
  search: Extract<Notice, { kind: "search" }> | null;
  inspection: Extract<Notice, { kind: "inspection" }> | null;
  device: DeviceJson | null;
  kernels: KernelsJson | null;
  kernelSource: Extract<Notice, { kind: "kernel-source" }> | null;
  kernelDatabase: Extract<Notice, { kind: "kernel-database" }> | null;
  ready: boolean;
  boot: { message: string; fraction: number; failed: boolean };
  toasts: readonly Toast[];
  /** A gesture is in the air: the pointer moves things itself, nothing glides. */
  held: boolean;
  /** What the last gesture was called; the hint line follows it. */
  lastGesture: string | null;
  /** True while a link is shown and the user's own draft waits. */
  draftWaiting: boolean;
  theme: Theme;
  dialog: DialogName | null;
  /** Where the user wants it to run; the device line says where it did. */
  backend: RunPlace;
  /** What a heavy worker has to do with this page; null until its code was wanted. */
  remote: RemoteView | null;
  /** The mark armed in the rail: the next tap on the paper places it. */
  tool: MarkShape | null;
  /** What the user pointed at in an error: shown in warm until something else is done. */
  blamed: { tensors: readonly string[]; indices: readonly string[] } | null;
  /** Narrow screens show one panel at a time over the canvas. */
  sheet: "side" | "plan" | null;
  planFolded: boolean;
}

type Listener = () => void;
type Unsequenced = Request extends infer R ? (R extends Request ? Omit<R, "seq"> : never) : never;

const EMPTY: DocumentJson = { tensorloom: 1, title: "Untitled", dtype: "float64", tensors: [], dimensions: {}, output: [], marks: {}, anchors: {} };
const NOTHING: Selection = { tensors: new Set(), indices: new Set() };
/** Live steps reach Python at most this often [ms]; a round trip takes about 10. */
const LIVE_INTERVAL_MS = 33;
/** Python's name for what typed text did; keys that follow each other this fast are one step [ms]. */
const TYPING = "Type the equation";
const BURST_MS = 2000;

export const NOT_KEPT: ErrorJson = {
  kind: "DocumentError",
  code: "draft-not-kept",
  message: "This browser could not keep the drawing, so closing the page would lose it.",
  hint: "It may have no room left: free some, or export the drawing as a file.",
  where: {},
  values: {},
};

export class EditorStore {
  private history: History = newHistory(EMPTY);
  private state: EditorState;
  private readonly listeners = new Set<Listener>();
  private send: ((request: Request) => void) | null = null;
  private seq = 0;
  private nextToast = 1;
  private liveTimer: ReturnType<typeof setTimeout> | null = null;
  private liveWaiting: Unsequenced | null = null;
  private lastLive = 0;
  private lastApplied: { gesture: string | null; at: number } = { gesture: null, at: 0 };
  private drafts: Drafts = noDrafts;
  private keeps = true;
  private answered = 0;
  private waiting: { seq: number; resolve: () => void }[] = [];

  constructor() {
    this.state = {
      document: EMPTY, canUndo: false, canRedo: false, selection: NOTHING, hover: null, equation: null, plan: null, planStep: null,
      result: null, stale: null, behind: false, partial: null, progress: null, search: null, inspection: null, device: null, kernels: null, kernelSource: null, kernelDatabase: null, ready: false,
      boot: { message: "Starting", fraction: 0, failed: false }, toasts: [], held: false, lastGesture: null, draftWaiting: false,
      theme: "system", dialog: null, backend: "auto", remote: null, tool: null, blamed: null, sheet: null, planFolded: false,
    };
  }

  readonly get = (): EditorState => this.state;

  readonly subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(change: Partial<EditorState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  useDrafts(drafts: Drafts): void {
    this.drafts = drafts;
  }

  /** Shows a document from the start: no history, nothing sent until Python says hello. */
  open(document: DocumentJson, change: Partial<EditorState> = {}): void {
    this.history = newHistory(document);
    this.set({ ...change, document, held: false, canUndo: false, canRedo: false, selection: NOTHING, planStep: null, inspection: null, blamed: null });
    if (this.send) this.request({ kind: "hello", document });
  }

  /** Python is there: it gets the document as it is now. */
  connect(send: (request: Request) => void): void {
    this.send = send;
    this.request({ kind: "hello", document: this.history.document });
  }

  request(request: Unsequenced): number {
    const seq = this.seq + 1;
    this.send?.({ ...request, seq } as Request);
    // Counted only once it is sent: a message that cannot be sent must not be waited for.
    this.seq = seq;
    return seq;
  }

  /** Resolves when Python has answered everything sent so far. */
  settled(): Promise<void> {
    if (this.answered >= this.seq) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ seq: this.seq, resolve }));
  }

  /** One step of a gesture. Live steps carry the whole change since the gesture began. */
  dispatch(gesture: string, commands: readonly Command[], phase: "live" | "commit" = "commit"): boolean {
    if (commands.length === 0) return true;
    try {
      this.history = phase === "live" ? live(this.history, gesture, commands) : commit(this.history, gesture, commands);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.cancelGesture();
      this.complain({ kind: "InputError", code: error.code, message: error.message, hint: "", where: {}, values: {} });
      return false;
    }
    this.showDocument({ lastGesture: gesture });
    this.forward({ kind: "commands", gesture, phase, commands: [...commands] });
    if (phase === "commit") void this.keep();
    return true;
  }

  cancelGesture(): void {
    if (!this.history.held) return;
    this.history = cancel(this.history);
    this.showDocument({});
    this.forward({ kind: "commands", gesture: "cancel", phase: "commit", commands: [] });
  }

  undo(): void {
    const done = undo(this.history);
    if (!done) return;
    this.lastApplied.gesture = null;
    this.history = done.history;
    this.showDocument({ lastGesture: "Undo" });
    this.forward({ kind: "commands", gesture: "Undo", phase: "commit", commands: done.step.back });
    void this.keep();
  }

  redo(): void {
    const done = redo(this.history);
    if (!done) return;
    this.lastApplied.gesture = null;
    this.history = done.history;
    this.showDocument({ lastGesture: "Redo" });
    this.forward({ kind: "commands", gesture: "Redo", phase: "commit", commands: done.step.forward });
    void this.keep();
  }

  select(selection: { tensors?: Iterable<string>; indices?: Iterable<string> }): void {
    this.set({ selection: { tensors: new Set(selection.tensors ?? []), indices: new Set(selection.indices ?? []) } });
  }

  hover(what: EditorState["hover"]): void {
    const old = this.state.hover;
    if (old?.tensor !== what?.tensor || old?.index !== what?.index) this.set({ hover: what });
  }

  /** A passing complaint is about the value of the moment: the next value takes it back. */
  complain(error: ErrorJson, passing = false): void {
    this.set({ progress: null });
    this.toast(error, passing);
  }

  private toast(error: ErrorJson, passing = false): void {
    const same = this.state.toasts.filter((toast) => toast.error.message !== error.message);
    this.set({ toasts: [...same, { id: this.nextToast++, error, passing }].slice(-3) });
  }

  dismiss(id: number): void {
    this.set({ toasts: this.state.toasts.filter((toast) => toast.id !== id) });
  }

  receive(notice: Notice): void {
    if (notice.kind === "ack") {
      this.answered = Math.max(this.answered, notice.seq);
      for (const waiter of this.waiting) if (waiter.seq <= notice.seq) waiter.resolve();
      this.waiting = this.waiting.filter((waiter) => waiter.seq > notice.seq);
    }
    switch (notice.kind) {
      case "ready":
        this.set({ ready: true, device: notice.device });
        break;
      case "device":
        this.set({ device: notice.device });
        break;
      case "kernels":
        this.set({ kernels: notice.kernels });
        break;
      case "kernel-source":
        this.set({ kernelSource: notice });
        break;
      case "kernel-database":
        this.set({ kernelDatabase: notice });
        break;
      case "ack":
        if (notice.behind !== this.state.behind) this.set({ behind: notice.behind });
        break;
      case "rejected":
        this.history = newHistory(notice.document);
        this.showDocument({});
        this.complain(notice.error);
        break;
      case "apply":
        this.applied(notice.gesture, notice.commands);
        break;
      case "equation":
        this.set({ equation: { text: notice.text, spans: notice.spans, named: notice.named, error: notice.error } });
        break;
      case "plan":
        this.set({ plan: notice.plan, partial: null, planStep: this.state.planStep === null ? null : Math.min(this.state.planStep, notice.plan.steps.length) });
        break;
      case "search":
        this.set({ search: notice });
        break;
      case "partial":
        this.set({ partial: notice.partial });
        break;
      case "progress":
        this.set({ progress: notice });
        break;
      case "result":
        this.set({ result: notice.result, stale: null, behind: notice.behind, partial: null, progress: null, toasts: this.state.toasts.filter(({ passing }) => !passing) });
        break;
      case "stale":
        this.set({ stale: notice.message, behind: notice.behind, partial: notice.partial ?? null, progress: null });
        break;
      case "inspection":
        this.set({ inspection: notice });
        break;
      case "error":
        // Python's None comes through Panel as undefined.
        this.complain(notice.error, (notice.seq ?? null) === null);
        break;
      case "need-blobs":
        void this.drafts.blobs(notice.hashes).then((blobs) => blobs.length > 0 && this.request({ kind: "blobs", blobs }));
        break;
      case "keep-blob":
        void this.kept(this.drafts.keepBlob(notice.hash, notice.base64), false);
        break;
      default:
        notice satisfies never;
    }
  }

  /** Commands that Python made (a file, a template, a layout, typed text): one step, not sent back. */
  private applied(gesture: string, commands: Command[]): void {
    try {
      const goesOn = gesture === this.lastApplied.gesture && performance.now() - this.lastApplied.at < BURST_MS;
      this.history = (goesOn ? amend : commit)(this.history, gesture, commands);
      this.lastApplied = { gesture: gesture === TYPING ? gesture : null, at: performance.now() };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // The user edited meanwhile; Python gets the page's document again and answers to that.
      this.request({ kind: "hello", document: this.history.document });
      return;
    }
    // Ids of another drawing may be the same by chance.
    const another = commands.some((command) => command.kind === "replace-document") && gesture !== TYPING;
    this.showDocument({ lastGesture: gesture, ...(another ? { selection: NOTHING, planStep: null } : {}) });
    void this.keep();
  }

  private showDocument(change: Partial<EditorState>): void {
    const document = this.history.document;
    const ids = new Set(document.tensors.map((tensor) => tensor.id));
    const selection = change.selection ?? this.state.selection;
    const kept: Selection = {
      tensors: new Set([...selection.tensors].filter((id) => ids.has(id))),
      indices: new Set([...selection.indices].filter((name) => Object.hasOwn(document.dimensions, name))),
    };
    this.set({ ...change, document, selection: kept, held: this.history.held !== null, canUndo: this.history.past.length > 0, canRedo: this.history.future.length > 0 });
  }

  private forward(request: Extract<Unsequenced, { kind: "commands" }>): void {
    if (this.liveTimer !== null) clearTimeout(this.liveTimer);
    this.liveTimer = null;
    this.liveWaiting = null;
    const now = performance.now();
    if (request.phase === "commit" || now - this.lastLive >= LIVE_INTERVAL_MS) {
      this.lastLive = now;
      this.request(request);
      return;
    }
    this.liveWaiting = request;
    this.liveTimer = setTimeout(() => {
      if (this.liveWaiting) this.request(this.liveWaiting);
      this.liveWaiting = null;
      this.lastLive = performance.now();
    }, LIVE_INTERVAL_MS);
  }

  /** Saves the drawing as it is; whether the browser has kept it. */
  async keep(): Promise<boolean> {
    await this.kept(this.drafts.save(this.history.document));
    return this.keeps;
  }

  /** Says once that the browser does not keep everything any more, until it does again. */
  private async kept(saving: Promise<void>, isAll = true): Promise<void> {
    try {
      await saving;
      this.keeps ||= isAll;
    } catch {
      if (this.keeps) this.toast(NOT_KEPT);
      this.keeps = false;
    }
  }

  /** The document as if the commands had been made; for previews. */
  preview(commands: readonly Command[]): DocumentJson | null {
    try {
      return applyAll(this.history.document, commands);
    } catch {
      return null;
    }
  }
}

/** One store per page: the bundle may be evaluated again, the document must not be lost. */
const holder = globalThis as { tensorloomStore?: EditorStore };
holder.tensorloomStore ??= new EditorStore();
export const store: EditorStore = holder.tensorloomStore;

export function useEditor<T>(selector: (state: EditorState) => T): T {
  return useSyncExternalStore(store.subscribe, () => selector(store.get()));
}
