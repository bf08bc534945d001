/**
 * What the worker says the drawing that is shown would take: asked where that matters, and when the
 * drawing has been left alone for a moment.
 */

import type { DocumentJson, PlanJson } from "../protocol.ts";
import type { EditorState } from "../store.ts";
import type { Line } from "./follower.ts";
import { WorkerError } from "./http.ts";
import { bareRequest, orderOf } from "./requests.ts";
import type { EstimateView } from "./view.ts";

/** Runs that the tab expects to take longer wait until they are asked for; so do ours [ms]. */
const ASK_MS = 20_000;
/** Estimates wait until the drawing has been left alone for so long [ms]. */
const PAUSE_MS = 300;

interface Question {
  document: DocumentJson;
  plan: PlanJson;
  revision: string;
}

/**
 * One question is under way at a time. A search in the tab finds a better order every few seconds,
 * and the worker looks for a good one for longer than that: each question taken back for the next,
 * none would be answered; all left standing, they would use up the browser's connections.
 */
export class Estimates {
  /** The newest, or that it is being asked for. */
  current: EstimateView | null = null;
  private askedFor: PlanJson | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private underWay: { revision: string; control: AbortController } | null = null;
  /** The same drawing with a better order: asked when the answer to the one before has come. */
  private following: Question | null = null;

  constructor(
    private readonly line: () => Line | null,
    private readonly changed: () => void,
  ) {}

  /** They are asked for anew when the worker answers again. */
  forget(): void {
    this.current = null;
    this.askedFor = null;
    this.takeBack();
  }

  /** Asks where the tab cannot, would take long, or should not; whether it has begun to. */
  askIfDue(state: EditorState, revision: string): boolean {
    const { plan } = state;
    const isWanted = plan !== null && state.document.tensors.length > 0 && !state.held && (plan.refused !== null || (plan.predictedMs ?? 0) > ASK_MS || state.backend === "worker");
    if (!isWanted || (this.current?.revision === revision && this.askedFor === plan)) return false;
    this.askedFor = plan;
    // What is known of a worse order stays until the better one's is: it is never less.
    if (this.current?.revision !== revision || this.current.state !== "known") this.current = { state: "asking", revision };
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask({ document: state.document, plan, revision }), PAUSE_MS);
    return true;
  }

  private async ask(question: Question): Promise<void> {
    const line = this.line();
    if (!line) return;
    const { document, plan, revision } = question;
    if (this.underWay?.revision === revision) {
      this.following = question;
      return;
    }
    this.takeBack();
    const mine = { revision, control: new AbortController() };
    this.underWay = mine;
    let found: EstimateView;
    try {
      const signal = AbortSignal.any([line.lost, mine.control.signal]);
      found = { state: "known", revision, estimate: await line.client.estimate(bareRequest(document, orderOf(plan)), signal) };
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      found = { state: "failed", revision, error: error.record };
    }
    if (this.underWay !== mine) return;
    const { following } = this;
    this.underWay = null;
    this.following = null;
    if (line.lost.aborted) return;
    if (this.current?.revision === revision) {
      this.current = found;
      this.changed();
    }
    if (following) await this.ask(following);
  }

  private takeBack(): void {
    this.underWay?.control.abort();
    this.underWay = null;
    this.following = null;
  }
}
