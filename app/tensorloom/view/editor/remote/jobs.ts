/**
 * Jobs as the page knows them: those that the worker lists, those still on their way there, and the
 * drawing that each was sent with. Pure.
 */

import type { DocumentJson, DType } from "../protocol.ts";
import { duration, grouped } from "../chrome/numbers.ts";
import { headline } from "../chrome/valueText.ts";
import { isOver, type JobJson, type JobState, type PlanRequestJson } from "./wire.ts";

/** What this browser keeps of a job that was sent from here; in IndexedDB. */
export interface SentJob {
  /** The idempotency key it was sent with. */
  key: string;
  /** Address of its worker. */
  worker: string;
  /** The worker's name for it; null until the worker has answered. */
  id: string | null;
  document: DocumentJson;
  /** `revisionOf` the document. */
  revision: string;
  sentAt: number;
  /**
   * The order found here when it was sent; absent where there was none. It stays that one: the worker
   * takes the same key with another request for a mistake.
   */
  plan?: PlanRequestJson;
  /** What is to contract it there; absent where that is the worker's choice. */
  backend?: string;
  /** By tensor, the arrays of many contractions, until the worker has them. Their value is not the drawing's. */
  batch?: Record<string, BatchArray>;
}

/** One array for each contraction, along the first axis. */
export interface BatchArray {
  shape: number[];
  dtype: DType;
  /** Little-endian in C order, complex interleaved. */
  bytes: ArrayBuffer;
}

/** A line of the jobs list. */
export interface ListedJob {
  /** Its name in the list: the worker's, or while there is none the key. */
  name: string;
  job: JobJson | null;
  sent: SentJob | null;
}

/** Newest first: jobs that wait to be sent, then those the worker knows. */
export function listed(jobs: Iterable<JobJson>, sent: readonly SentJob[], worker: string): ListedJob[] {
  const mine = sent.filter((one) => one.worker === worker);
  const byId = new Map(mine.filter((one) => one.id !== null).map((one) => [one.id, one]));
  const waiting = mine.filter((one) => one.id === null).sort((one, other) => other.sentAt - one.sentAt);
  const known = [...jobs].sort((one, other) => (one.createdAt < other.createdAt ? 1 : one.createdAt > other.createdAt ? -1 : 0));
  return [
    ...waiting.map((one) => ({ name: one.key, job: null, sent: one })),
    ...known.map((job) => ({ name: job.id, job, sent: byId.get(job.id) ?? null })),
  ];
}

/** The newest job of the drawing with this revision that may still bring, or has brought, its value. */
export function jobOf(list: readonly ListedJob[], revision: string): ListedJob | null {
  return list.find(({ job, sent }) => sent?.revision === revision && job?.state !== "failed" && job?.state !== "cancelled") ?? null;
}

const revisions = new WeakMap<DocumentJson, string>();

/** The same for drawings of the same value: names, places and colours do not count. */
export function revisionOf(document: DocumentJson): string {
  const known = revisions.get(document);
  if (known !== undefined) return known;
  const tensors = document.tensors.map(({ id, indices, array }) => [id, indices, array]);
  const sizes = Object.entries(document.dimensions).sort(([one], [other]) => (one < other ? -1 : 1));
  const text = JSON.stringify([tensors, sizes, document.output, document.dtype]);
  const revision = `${text.length.toString(36)}-${mixed(text, 0x9e3779b9)}${mixed(text, 0x85ebca6b)}`;
  revisions.set(document, revision);
  return revision;
}

/** A 32-bit mix of a text, as hexadecimal digits; two of them and the length tell drawings apart. */
function mixed(text: string, seed: number): string {
  let state = seed;
  for (let place = 0; place < text.length; place++) {
    state = Math.imul(state ^ text.charCodeAt(place), 0x01000193);
    state ^= state >>> 15;
  }
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return ((state ^ (state >>> 16)) >>> 0).toString(16).padStart(8, "0");
}

export const STATE_WORDS: Readonly<Record<JobState, string>> = {
  queued: "queued",
  searching: "looking for an order",
  running: "computing",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
};

/** How it stands, in words: `computing, 12 %, about 5 min left`. */
export function standing({ job }: Pick<ListedJob, "job">): string {
  if (!job) return "waits to be sent";
  const { state, progress, queuePosition, result } = job;
  if (state === "queued" && queuePosition) return `queued, ${queuePosition === 1 ? "next" : `${queuePosition - 1} before it`}`;
  if (state === "running") {
    const left = leftWords(job);
    return [STATE_WORDS.running, percent(progress.fraction), ...(left ? [left] : [])].join(", ");
  }
  if (state === "done" && result) {
    const predicted = job.estimate ? `, predicted ${duration(job.estimate.predictedMs)}` : "";
    return `done in ${duration(result.ms)}${predicted}`;
  }
  return STATE_WORDS[state];
}

/** What is left of a running job; while nothing of it is done, what was predicted; or nothing. */
export function leftWords({ progress, estimate }: Pick<JobJson, "progress" | "estimate">): string {
  if (progress.etaMs !== undefined && progress.etaMs !== null) return `about ${duration(progress.etaMs)} left`;
  return estimate ? `predicted ${duration(estimate.predictedMs)}` : "";
}

export function percent(fraction: number): string {
  return `${Math.floor(100 * Math.min(1, Math.max(0, fraction)))}\u2009%`;
}

/** `7 of 64 slices`; empty where it is not sliced. */
export function slicesOf({ progress }: Pick<JobJson, "progress">): string {
  return progress.slices === "1" || progress.slices === "0" ? "" : `${grouped(progress.slicesDone)} of ${grouped(progress.slices)} slices`;
}

/** The sum so far as a number with how much of it still moves; empty where there is none. */
export function partialWords(job: Pick<JobJson, "partial" | "estimate" | "state">): string {
  const partial = job.partial;
  if (!partial?.value || isOver(job.state)) return "";
  const [re, im] = partial.value;
  const size = Math.hypot(re, im);
  const moved = partial.relativeChange ?? 1e-4;
  const shown = headline({ scalar: partial.value, shape: [], norm: size, dtype: im === 0 ? "float64" : "complex128", errorBound: Math.min(1, Math.max(moved, 1e-7)), log10Scale: partial.log10Scale });
  return shown.text;
}

/** The value of a job that is done: the number, or what kind of array it is; empty where there is none. */
export function valueWords({ result }: Pick<JobJson, "result">): { text: string; bound: string } {
  if (!result) return { text: "", bound: "" };
  return headline({ scalar: result.value ?? null, shape: result.shape, norm: 0, dtype: result.dtype, errorBound: result.errorBound, log10Scale: result.log10Scale });
}

