/** Placeholder until the snapshot lands. */
import type { Fetched, Status } from "./fetching.ts";
import type { BuildRecord } from "./messages.ts";
import type { Pyodide } from "./pyodide.d.ts";

export function startFromSnapshot(_base: string, _build: BuildRecord, _fetched: Fetched, _status: Status): Promise<Pyodide> {
  return Promise.reject(new Error("no snapshot"));
}
