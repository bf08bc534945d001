/**
 * Where the drawing that is shown can be computed, with predicted figures for each place. Pure.
 *
 *     Here      14 GB, does not fit
 *     Worker    about 6 min, in 64 slices
 */

import { bytes, duration, grouped } from "../chrome/numbers.ts";
import { refusalBytes } from "../chrome/valueState.ts";
import type { Backend, PlanJson } from "../protocol.ts";
import { shortAddress } from "./address.ts";
import type { RemoteView } from "./view.ts";

export type Place = "here" | "worker";

export interface Offer {
  /** Whether the run can be started there now. */
  fits: boolean;
  words: string;
  /** What to do where it does not fit. */
  hint: string;
  /** For the tip: what it takes besides. */
  more?: string;
}

export interface Offers {
  here: Offer;
  worker: Offer;
  /** Where the button sends it; null where nothing can run it. */
  best: Place | null;
}

/** The worker is suggested where it takes less than this part of the tab's time. */
const WORTH_SENDING = 0.5;

/**
 * The two offers, and which the button takes.
 *
 * @param revision of the drawing that is shown: an estimate of another one says nothing
 * @param wanted the user's own choice, if there is one
 */
export function offers(plan: PlanJson | null, remote: RemoteView | null, revision: string, wanted: Place | null): Offers {
  const here = offerHere(plan);
  const worker = offerThere(remote, revision);
  return { here, worker, best: best(here, worker, plan, remote, wanted) };
}

function best(here: Offer, worker: Offer, plan: PlanJson | null, remote: RemoteView | null, wanted: Place | null): Place | null {
  if (wanted === "worker" && worker.fits) return "worker";
  if (wanted === "here" && here.fits) return "here";
  if (!here.fits) return worker.fits ? "worker" : null;
  if (!worker.fits || wanted === "worker") return "here";
  const there = remote?.estimate?.state === "known" ? remote.estimate.estimate.predictedMs + remote.estimate.estimate.searchMs : Number.POSITIVE_INFINITY;
  return there < WORTH_SENDING * (plan?.predictedMs ?? Number.POSITIVE_INFINITY) ? "worker" : "here";
}

function offerHere(plan: PlanJson | null): Offer {
  if (!plan) return { fits: false, words: "not planned yet", hint: "" };
  if (plan.refused) {
    const { needed } = refusalBytes(plan);
    const isLong = plan.refused.code === "too-long";
    return { fits: false, words: isLong ? "takes too long" : `${bytes(needed)}, does not fit`, hint: "" };
  }
  const time = plan.predictedMs === null ? "time not known" : `about ${duration(plan.predictedMs)}`;
  return { fits: true, words: `${time}, ${bytes(plan.peakBytes)}`, hint: "" };
}

function offerThere(remote: RemoteView | null, revision: string): Offer {
  const none = { fits: false, hint: "" };
  if (!remote || remote.connection.kind === "off") return { ...none, words: "none connected" };
  const name = shortAddress(remote.connection.address);
  if (remote.connection.kind === "connecting") return { ...none, words: `asking ${name}` };
  if (remote.connection.kind !== "on") return { ...none, words: "does not answer", hint: `${remote.connection.error.message} ${remote.connection.error.hint}`.trim() };
  const found = remote.estimate?.revision === revision ? remote.estimate : null;
  if (!found || found.state === "asking") return { ...none, words: "estimating" };
  if (found.state === "failed") return { ...none, words: "refuses it", hint: `${found.error.message} ${found.error.hint}`.trim() };
  const { predictedMs, searchMs, slices, peakBytesPerWorker, fits, refusal, basis } = found.estimate;
  const needs = `${bytes(peakBytesPerWorker)} per process`;
  // Memory is not what is lacking then.
  const isLong = refusal?.code === "job-too-long" || refusal?.code === "too-many-slices";
  if (!fits) return { fits: false, words: isLong ? "takes too long" : `${needs}, does not fit`, hint: refusal ? `${refusal.message} ${refusal.hint}`.trim() : "" };
  const cut = slices === "1" ? "" : `, in ${grouped(slices)} slices`;
  return { fits: true, words: `about ${duration(predictedMs + searchMs)}${cut}`, more: `${needs} of the worker`, hint: basis === "typical" ? "By typical rates: the worker has not measured its own yet." : "" };
}

/** The button's words. */
export const PLACE_WORDS: Readonly<Record<Place, string>> = { here: "Compute here", worker: "Compute on the worker" };

/** Where it runs, for the header: the device's own sentence and what is beyond it. */
export function whereSentence(device: string, remote: RemoteView | null): string {
  if (!remote) return device;
  switch (remote.connection.kind) {
    case "off":
      return device;
    case "on": {
      const busy = remote.jobs.filter(({ job }) => job?.state === "running");
      const [only] = busy;
      if (busy.length > 1) return `${device}; ${busy.length} jobs on the worker`;
      return only?.job ? `${device}; worker at ${Math.floor(100 * only.job.progress.fraction)}\u2009%` : `${device}, or on the worker`;
    }
    case "connecting":
      return `${device}; asking the worker`;
    case "waiting":
    case "refused":
      return `${device}; no answer from the worker`;
    default:
      return remote.connection satisfies never;
  }
}

/** The user's own choice between the two places; null where the page may choose. */
export function wantedPlace(backend: Backend | "worker"): "worker" | null {
  return backend === "worker" ? "worker" : null;
}
