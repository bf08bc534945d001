/**
 * What the page shows of a worker: a part of the store's state, without the token. Pure.
 */

import type { ErrorJson } from "../protocol.ts";
import type { Connection } from "./connection.ts";
import type { ListedJob } from "./jobs.ts";
import type { AboutJson, EstimateJson } from "./wire.ts";

export type ConnectionView =
  | { kind: "off" }
  | { kind: "connecting"; address: string }
  | { kind: "on"; address: string }
  | { kind: "waiting"; address: string; error: ErrorJson }
  | { kind: "refused"; address: string; error: ErrorJson };

/** What the worker says the drawing would take; `revision` tells which drawing. */
export type EstimateView =
  | { state: "asking"; revision: string }
  | { state: "known"; revision: string; estimate: EstimateJson }
  | { state: "failed"; revision: string; error: ErrorJson };

export interface RemoteView {
  connection: ConnectionView;
  about: AboutJson | null;
  jobs: readonly ListedJob[];
  /** Whether the worker has older jobs than these, or sends some just now. */
  older: "none" | "more" | "coming";
  /** The job that brings, or has brought, the value of the drawing that is shown. */
  current: ListedJob | null;
  /** A job that was done after its drawing had been changed; until it is opened or put aside. */
  news: ListedJob | null;
  estimate: EstimateView | null;
  /** Arrays on their way to the worker [bytes]. */
  upload: { done: number; of: number } | null;
  /** The value of the drawing that is shown, on its way here [bytes]. */
  fetching: { done: number; of: number } | null;
  /** Why the worker, which answers, does not take what waits to be sent. */
  held: ErrorJson | null;
  /** Address of a link that asks to be confirmed. */
  asked: string | null;
}

export const NOT_CONNECTED: RemoteView = { connection: { kind: "off" }, about: null, jobs: [], older: "none", current: null, news: null, estimate: null, upload: null, fetching: null, held: null, asked: null };

/** What is shown of a connection. */
export function viewOf(connection: Connection): ConnectionView {
  switch (connection.kind) {
    case "off":
      return connection;
    case "waiting":
    case "refused":
      return { kind: connection.kind, address: connection.worker.address, error: connection.error };
    case "connecting":
    case "on":
      return { kind: connection.kind, address: connection.worker.address };
    default:
      return connection satisfies never;
  }
}
