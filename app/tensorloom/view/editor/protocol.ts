/**
 * Everything that crosses between the page and Python, as tagged records.
 *
 * Python's side of the same records is `tensorloom/view/session.py`. The page speaks first (`hello`),
 * Python answers `ready`. The page's document is the one the user sees; Python validates it, plans,
 * runs, and answers. `seq` counts the page's messages; an answer names the `seq` it belongs to.
 */

/** A whole document as in `docs/architecture.md`, section "Document". */
export interface DocumentJson {
  tensorloom: number;
  title: string;
  dtype: DType;
  tensors: TensorJson[];
  dimensions: Record<string, number>;
  output: string[];
  marks: Record<string, MarkJson>;
  anchors: Record<string, [number, number]>;
}
export type DType = "float32" | "float64" | "complex64" | "complex128";
export interface TensorJson {
  id: string;
  name: string;
  indices: string[];
  array: RecipeJson;
}
export type RecipeJson =
  | { kind: "random"; seed: number; distribution: "normal" | "uniform" | "complex-normal" }
  | { kind: "constant"; value: number }
  | { kind: "identity" }
  | { kind: "copy" }
  | { kind: "gate"; name: string; parameters: number[]; conjugate: boolean; controls?: number }
  | { kind: "inline"; values: number[]; shape: number[]; complex: boolean }
  | { kind: "blob"; hash: string; shape: number[]; dtype: DType };
export type MarkShape = "circle" | "square" | "triangle-right" | "triangle-left" | "dot" | "diamond" | "none";
export type MarkColour = "blue" | "amber" | "rose" | "green";
export interface MarkJson {
  x: number;
  y: number;
  shape: MarkShape;
  colour: MarkColour;
}

/** User edits; each has an inverse. Python: `tensorloom/model/commands.py`. */
export type Command =
  | { kind: "add-tensor"; tensor: TensorJson; dimensions: Record<string, number>; mark: MarkJson; at: number | null; output: string[] | null }
  | { kind: "remove-tensor"; id: string }
  | { kind: "rename-tensor"; id: string; name: string }
  | { kind: "set-array"; id: string; array: RecipeJson }
  | { kind: "set-indices"; id: string; indices: string[]; dimensions: Record<string, number>; output: string[] | null }
  | { kind: "rename-index"; name: string; to: string }
  | { kind: "join-indices"; keep: string; drop: string; output: string[] | null }
  | { kind: "set-dimension"; name: string; dimension: number }
  | { kind: "set-output"; output: string[] }
  | { kind: "move"; positions: Record<string, [number, number]>; anchors: Record<string, [number, number] | null> }
  | { kind: "set-mark"; id: string; shape: MarkShape; colour: MarkColour }
  | { kind: "set-title"; title: string }
  | { kind: "set-dtype"; dtype: DType }
  | { kind: "replace-document"; document: DocumentJson };

export type Backend = "auto" | "webgpu" | "webgpu-f16" | "wasm" | "numpy";
/** Where a run may go: "worker" is a heavy worker, which only the page talks to. */
export type RunPlace = Backend | "worker";

/** Page -> Python. */
export type Request =
  | { kind: "hello"; seq: number; document: DocumentJson }
  | { kind: "commands"; seq: number; gesture: string; phase: "live" | "commit"; commands: Command[] }
  | { kind: "equation"; seq: number; text: string }
  | { kind: "open"; seq: number; format: string | null; name: string; text: string | null; base64: string | null; onto: string | null; options: Record<string, unknown> }
  | { kind: "template"; seq: number; name: string; parameters: Record<string, number> }
  | { kind: "layout"; seq: number }
  /** `slice`: the network may be cut into slices where it would not fit. "worker": the tab plans and does not run. */
  | { kind: "run"; seq: number; backend: RunPlace; dtype: DType | null; slice?: boolean }
  | { kind: "cancel"; seq: number }
  | { kind: "search"; seq: number; action: "start" | "stop" }
  | { kind: "inspect"; seq: number; tensor: string | null; fixed: Record<string, number>; rows: string[]; columns: string[]; dark: boolean }
  | { kind: "blobs"; seq: number; blobs: { hash: string; base64: string }[] }
  /** The Kernels view opens or closes; while it is watched, `kernels` follows each run and each step of the tuner. */
  | { kind: "kernels"; seq: number; watch: boolean }
  /** The text of what runs `shapes[number]` or `groups[number]` now; `whole`: however long it is. */
  | { kind: "kernel-source"; seq: number; of: KernelSourceOf; number: number; whole: boolean }
  | { kind: "kernel-database"; seq: number; action: "export" | "import" | "clear"; text: string | null };

export interface ErrorJson {
  kind: string;
  code: string;
  message: string;
  hint: string;
  where: { tensors?: string[]; indices?: string[]; span?: [number, number]; line?: number; file?: string };
  values: Record<string, unknown>;
}

/** Exact integers arrive as decimal strings: they pass 2^53. */
export type BigDecimal = string;

export interface PlanJson {
  /** "optimal" (proved) | "greedy" | "random-greedy" | "annealed" | "reconfigured". */
  finder: string;
  proved: boolean;
  mulAdds: BigDecimal;
  largestElements: BigDecimal;
  peakElements: BigDecimal;
  peakBytes: BigDecimal;
  /** log2 of the largest intermediate in elements. */
  width: number;
  nSlices: BigDecimal;
  sliced: string[];
  inputs: string[];
  steps: PlanStepJson[];
  /** What the run would cost now, and where it would go. */
  predictedMs: number | null;
  backend: Backend | null;
  refused: ErrorJson | null;
}
export interface PlanStepJson {
  left: number;
  right: number;
  out: number;
  indices: string[];
  mulAdds: BigDecimal;
  elements: BigDecimal;
  liveElements: BigDecimal;
}
export interface ResultJson {
  /** The value itself when scalar: [re, im]; null otherwise. */
  scalar: [number, number] | null;
  shape: number[];
  indices: string[];
  norm: number;
  dtype: DType;
  backend: Exclude<RunPlace, "auto">;
  ms: number;
  predictedMs: number;
  peakBytes: BigDecimal;
  mulAdds: BigDecimal;
  errorBound: number;
  log10Scale: number;
  /** Why it did not run where asked, in words; empty when it did. */
  notes: string[];
}

/** The sum of the slices done so far: not the value. */
export interface PartialJson {
  done: BigDecimal;
  of: BigDecimal;
  scalar: [number, number] | null;
  shape: number[];
  norm: number;
  dtype: DType;
  log10Scale: number;
}

/** One drawn piece of the equation text; `index` and `tensors` link it to the diagram. */
export interface EquationSpan {
  start: number;
  end: number;
  index: string | null;
  tensor: string | null;
}

/** Python -> page. */
export type Notice =
  | { kind: "ready"; seq: number; device: DeviceJson }
  /** `behind`, here and below: the value, or why there is none, is not yet that of the drawing Python knows. */
  | { kind: "ack"; seq: number; behind: boolean }
  | { kind: "rejected"; seq: number; error: ErrorJson; document: DocumentJson }
  | { kind: "apply"; seq: number | null; gesture: string; commands: Command[] }
  | { kind: "equation"; seq: number | null; text: string; spans: EquationSpan[]; named: boolean; error: ErrorJson | null }
  | { kind: "plan"; plan: PlanJson }
  | { kind: "search"; running: boolean; trials: number; elapsedMs: number; bestMulAdds: BigDecimal; message: string }
  | { kind: "progress"; done: number; etaMs: number | null; message: string }
  | { kind: "result"; result: ResultJson; behind: boolean }
  /** Some slices of the run in progress added up. */
  | { kind: "partial"; partial: PartialJson }
  /** `partial`: what a run had added up when it was stopped. */
  | { kind: "stale"; message: string; behind: boolean; partial: PartialJson | null }
  | { kind: "inspection"; tensor: string | null; title: string; shape: number[]; indices: string[]; fixed: Record<string, number>; rows: string[]; columns: string[]; note: string }
  | { kind: "error"; seq: number | null; error: ErrorJson }
  | { kind: "need-blobs"; hashes: string[] }
  | { kind: "keep-blob"; hash: string; base64: string }
  | { kind: "device"; device: DeviceJson }
  | { kind: "kernels"; kernels: KernelsJson }
  /** `bytes`: size of a group's module. */
  | { kind: "kernel-source"; of: KernelSourceOf; number: number; candidate: string; language: "wgsl" | "wasm"; text: string; isWhole: boolean; bytes: number | null }
  | { kind: "kernel-database"; text: string; message: string };

export interface DeviceJson {
  /** One sentence for the header, such as "Runs on this CPU, 64-bit". */
  sentence: string;
  /** Name of each back end and, where it is missing, why. */
  backends: { name: Exclude<Backend, "auto">; available: boolean; detail: string }[];
  /** What this engine lacks and what replaces it, in words. */
  replaced: string[];
}

/** What the Kernels view shows: what ran last, on what, by which kernels, and how they were chosen. */
export interface KernelsJson {
  device: DeviceRecordJson | null;
  /** Distinct kernels of the program that ran last, heaviest first. */
  shapes: KernelShapeJson[];
  /** Small steps that ran as one call, in order. */
  groups: KernelGroupJson[];
  /** Why there are none yet, in words; empty where there are some or will be none. */
  groupsNote: string;
  /** Kernel calls in order; `ms` is measured, or the call's share of the prediction; `group`: number of the group it was part of. */
  calls: { step: number; kernel: number; backend: Exclude<Backend, "auto">; ms: number | null; group: number | null }[];
  /** `budgetMs` is that of one kernel; `thrownOut`: kernels whose numbers were wrong, in words. */
  tuning: { running: boolean; budgetMs: number; spentMs: number; message: string; thrownOut: string[] };
}

export interface DeviceRecordJson {
  /** "measured here", or the name of the record that stands in. */
  name: string;
  /** `how`: how the value was found, in a sentence. */
  facts: { label: string; value: string; how: string }[];
  curves: { title: string; x: string; y: string; log: boolean; points: [number, number][]; knee: number | null; note: string }[];
  /** The roofline's two lines, for the type in use. */
  peakGflops: number | null;
  bytesPerMs: number | null;
}

export interface KernelShapeJson {
  name: string;
  dtype: DType;
  backend: Exclude<Backend, "auto">;
  batch: number;
  rows: number;
  columns: number;
  contracted: number;
  /** The loops, with strides in elements; 0 where an operand lacks the axis. */
  groups: { role: LoopRole; size: number; left: number; right: number; out: number }[];
  mulAdds: BigDecimal;
  /** Least traffic of one call: each operand and the result once. */
  bytes: number;
  calls: number;
  /** Whether its share of a run's time says how fast it is; the time of a small step is mostly that of its call. */
  isTimed: boolean;
  /** The candidate that runs now. */
  inUse: string;
  candidates: CandidateJson[];
  /** (ms since tuning began, best GFLOP/s so far) */
  history: [number, number][];
  /** Why it has no candidates, in a sentence; empty while it waits for its turn. */
  note: string;
}

export type KernelSourceOf = "kernel" | "group";

export interface KernelGroupJson {
  name: string;
  dtype: DType;
  first: number;
  last: number;
  /** How many; fewer than from first to last where others come between. */
  steps: number;
  /** The function of each distinct step in the group's module, and which of `shapes` that is; null where it is not listed. */
  functions: { number: number; kernel: number | null }[];
}

export type LoopRole = "batch" | "rows" | "columns" | "contracted";
export interface CandidateJson {
  text: string;
  predictedMs: number | null;
  ms: number | null;
  gflops: number | null;
  state: "cut" | "waiting" | "failed" | "measured" | "best";
  reason: string;
}
