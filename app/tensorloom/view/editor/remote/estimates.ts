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

export class Estimates {
  /** The newest, or that it is being asked for. */
  current: EstimateView | null = null;
  private askedFor: PlanJson | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly line: () => Line | null,
    private readonly changed: () => void,
  ) {}

  /** They are asked for anew when the worker answers again. */
  forget(): void {
    this.current = null;
    this.askedFor = null;
  }

  /** Asks where the tab cannot, would take long, or should not; whether it has begun to. */
  askIfDue(state: EditorState, revision: string): boolean {
    const { plan } = state;
    const isWanted = plan !== null && state.document.tensors.length > 0 && !state.held && (plan.refused !== null || (plan.predictedMs ?? 0) > ASK_MS || state.backend === "worker");
    if (!isWanted || (this.current?.revision === revision && this.askedFor === plan)) return false;
    this.askedFor = plan;
    this.current = { state: "asking", revision };
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(state.document, plan, revision), PAUSE_MS);
    return true;
  }

  private async ask(asked: DocumentJson, plan: PlanJson, revision: string): Promise<void> {
    const line = this.line();
    if (!line) return;
    let found: EstimateView;
    try {
      found = { state: "known", revision, estimate: await line.client.estimate(bareRequest(asked, orderOf(plan)), line.lost) };
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      found = { state: "failed", revision, error: error.record };
    }
    if (this.askedFor !== plan || line.lost.aborted) return;
    this.current = found;
    this.changed();
  }
}
