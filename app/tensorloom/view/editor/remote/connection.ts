/**
 * The connection to a worker as a state machine: what is, what happened, what is then. Pure.
 *
 *     off --connect--> connecting --answered--> on --lost--> waiting --retry--> connecting
 *                          |                                    ^
 *                          +--lost------------------------------+
 *                          +--refused--> refused      (only the user can help: token, version)
 *     any --disconnect--> off
 */

import type { ErrorJson } from "../protocol.ts";
import type { Worker } from "./address.ts";

export type Connection =
  | { kind: "off" }
  | { kind: "connecting"; worker: Worker; attempt: number }
  | { kind: "on"; worker: Worker }
  | { kind: "waiting"; worker: Worker; attempt: number; error: ErrorJson }
  | { kind: "refused"; worker: Worker; error: ErrorJson };

export type ConnectionEvent =
  | { kind: "connect"; worker: Worker }
  | { kind: "answered" }
  | { kind: "lost"; error: ErrorJson }
  | { kind: "refused"; error: ErrorJson }
  | { kind: "retry" }
  | { kind: "disconnect" };

/** What follows; an event that does not belong to the state changes nothing. */
export function next(state: Connection, event: ConnectionEvent): Connection {
  switch (event.kind) {
    case "connect":
      return { kind: "connecting", worker: event.worker, attempt: 0 };
    case "disconnect":
      return { kind: "off" };
    case "answered":
      return state.kind === "connecting" ? { kind: "on", worker: state.worker } : state;
    case "lost":
      if (state.kind === "connecting") return { kind: "waiting", worker: state.worker, attempt: state.attempt + 1, error: event.error };
      return state.kind === "on" ? { kind: "waiting", worker: state.worker, attempt: 1, error: event.error } : state;
    case "refused":
      return state.kind === "off" ? state : { kind: "refused", worker: state.worker, error: event.error };
    case "retry":
      return state.kind === "waiting" ? { kind: "connecting", worker: state.worker, attempt: state.attempt } : state;
    default:
      return event satisfies never;
  }
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/**
 * How long to wait before the given attempt (the first retry is 1): twice as long each time, up to
 * half a minute, spread so that many pages do not come back at once.
 *
 * @param random between 0 and 1
 */
export function pauseMs(attempt: number, random: number): number {
  const whole = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, attempt - 1));
  return whole * (0.75 + 0.5 * random);
}
