/**
 * What the value card has to say now: one of ten states, from the store alone. Pure.
 */

import type { DocumentJson, PlanJson } from "../protocol.ts";
import type { EditorState } from "../store.ts";

export type ValueState = "empty" | "refused" | "running" | "stale" | "live" | "away" | "given" | "failed" | "starting" | "waiting";

type Facts = Pick<EditorState, "document" | "plan" | "progress" | "result" | "stale" | "ready" | "boot"> & Partial<Pick<EditorState, "remote">>;

export function valueState(facts: Facts): ValueState {
  if (facts.document.tensors.length === 0) return "empty";
  if (facts.progress) return "running";
  if (isAway(facts)) return "away";
  if (facts.plan?.refused && !isFromWorker(facts)) return "refused";
  if (facts.stale !== null) return "stale";
  // Before Python is there, a value was computed when the site was built.
  if (facts.result) return facts.ready ? "live" : "given";
  if (facts.boot.failed && !facts.ready) return "failed";
  return facts.ready ? "waiting" : "starting";
}

/** A worker has this very drawing in hand, or its value is on its way from there. */
function isAway({ remote }: Facts): boolean {
  const line = remote?.current;
  if (line && remote.fetching) return true;
  return line ? line.job === null || line.job.state === "queued" || line.job.state === "searching" || line.job.state === "running" : false;
}

/** The value of this drawing is there, though the tab could not have computed it. */
function isFromWorker({ result, stale }: Facts): boolean {
  return stale === null && result?.backend === "worker";
}

export const STATE_WORDS: Readonly<Record<ValueState, string>> = {
  empty: "",
  refused: "not started",
  running: "computing",
  away: "on the worker",
  stale: "out of date",
  live: "live",
  given: "from the build",
  failed: "stopped",
  starting: "starting",
  waiting: "planning",
};

/** `about 4 s left`, from what has been done so far. */
export function remaining(etaMs: number | null, words: (ms: number) => string): string {
  return etaMs === null ? "time left not known yet" : `about ${words(etaMs)} left`;
}

/** The largest dimension and the indices that have it: halving these shrinks everything most. */
export function largestDimension(document: Pick<DocumentJson, "dimensions">): { dimension: number; names: string[] } | null {
  const entries = Object.entries(document.dimensions);
  const dimension = Math.max(1, ...entries.map(([, size]) => size));
  // Half of 2 or 3 is 1: that would not make the index smaller but take it away.
  if (dimension < 4) return null;
  return { dimension, names: entries.filter(([, size]) => size === dimension).map(([name]) => name) };
}

/** What a refused run would need and what there is room for, as far as the error says [bytes]. */
export function refusalBytes(plan: Pick<PlanJson, "refused" | "peakBytes">): { needed: string; limit: string | null } {
  const { neededBytes, limitBytes } = plan.refused?.values ?? {};
  return { needed: typeof neededBytes === "string" ? neededBytes : plan.peakBytes, limit: typeof limitBytes === "string" ? limitBytes : null };
}

/** The text with a full stop, unless it has one. */
export function sentence(text: string): string {
  return /[.?…]$/.test(text) ? text : `${text}.`;
}
