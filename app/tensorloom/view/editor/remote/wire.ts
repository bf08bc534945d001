/**
 * What crosses between the page and a heavy worker, as the service writes it. Types only.
 *
 * The service's side is `workers/tensorloom_worker/records.py`; its addresses are listed in
 * `docs/worker.md`. Whole numbers that can pass 2^53 are decimal text.
 */

import type { BigDecimal, DocumentJson, DType, ErrorJson } from "../protocol.ts";

/** The service's interface that this page speaks. */
export const API = 1;

export interface HealthJson {
  status: string;
  version: string;
  api: number;
}

export interface AboutJson {
  version: string;
  api: number;
  scheduler: string;
  workers: number;
  threads: number;
  memoryBytesPerWorker: number | BigDecimal;
  backends: string[];
  dtypes?: DType[];
  limits?: Record<string, unknown>;
  calibrated: boolean;
}

export interface PlanRequestJson {
  /** Pairs of operands; results are numbered after the inputs. */
  path: [number, number][];
  sliced: string[];
}

export interface JobRequestJson {
  kind: "contract";
  title?: string;
  document: DocumentJson;
  arrays?: Record<string, { sha256: string }>;
  plan?: PlanRequestJson;
  dtype?: DType;
  /** What contracts there: "numpy", "wgpu", ...; left out, the worker's own choice. */
  backend?: string;
  /** Arrays whose first axis counts contractions that share the rest. */
  batch?: { arrays: Record<string, { sha256: string }> };
}

/** How far an upload has come. */
export interface ArrayStateJson {
  sha256: string;
  offset: BigDecimal;
  length?: BigDecimal | null;
}

export interface EstimateJson {
  mulAdds: BigDecimal;
  flop: BigDecimal;
  slices: BigDecimal;
  peakBytesPerWorker: BigDecimal;
  resultBytes: BigDecimal;
  predictedMs: number;
  searchMs: number;
  fits: boolean;
  refusal?: ErrorJson | null;
  basis: "calibrated" | "typical";
}

export type JobState = "queued" | "searching" | "running" | "done" | "failed" | "cancelled";

export interface JobProgressJson {
  slicesDone: BigDecimal;
  slices: BigDecimal;
  fraction: number;
  etaMs?: number | null;
}

export interface JobPartialJson {
  value?: [number, number] | null;
  log10Scale: number;
  relativeChange?: number | null;
  standardError?: number | null;
}

export interface JobResultJson {
  shape: number[];
  dtype: DType;
  log10Scale: number;
  errorBound: number;
  bytes: number | BigDecimal;
  sha256: string;
  ms: number;
  mulAdds: BigDecimal;
  backend: string;
  value?: [number, number] | null;
}

export interface JobJson {
  id: string;
  kind: string;
  title: string;
  state: JobState;
  createdAt: string;
  startedAt?: string | null;
  finishedAt?: string | null;
  estimate?: EstimateJson | null;
  queuePosition?: number | null;
  progress: JobProgressJson;
  partial?: JobPartialJson | null;
  error?: ErrorJson | null;
  result?: JobResultJson | null;
  resumed?: number;
  /** Why it waits, or what happened to it, in words. */
  note?: string | null;
}

/** Jobs, newest first. */
export interface JobPageJson {
  jobs: JobJson[];
  /** Where the next page begins; absent at the end. */
  next?: string | null;
}

/** Whether nothing more will happen to it. */
export function isOver(state: JobState): boolean {
  return state === "done" || state === "failed" || state === "cancelled";
}
