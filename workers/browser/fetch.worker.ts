/**
 * Fetches and inflates the payload beside the Python worker: browsers inflate on the thread that
 * asks, and 65 MB take it half a second in which Pyodide could compile.
 */

import { fetchAll } from "./fetching.ts";
import type { BuildRecord, StartMode } from "./messages.ts";

export interface FetchRequest {
  base: string;
  build: BuildRecord;
  mode: StartMode;
}

export type FetchAnswer =
  | { type: "status"; message: string; fraction: number }
  | { type: "file"; name: string; data: ArrayBuffer }
  | { type: "failed"; name: string; message: string };

const say = (answer: FetchAnswer, transfer: Transferable[] = []) => (globalThis as unknown as DedicatedWorkerGlobalScope).postMessage(answer, transfer);

globalThis.onmessage = (event: MessageEvent<FetchRequest>) => {
  const { base, build, mode } = event.data;
  const fetched = fetchAll(base, build, mode, (message, fraction) => say({ type: "status", message, fraction }));
  for (const [name, file] of fetched) {
    file.then(
      (data) => say({ type: "file", name, data }, [data]),
      (error: unknown) => say({ type: "failed", name, message: String(error) }),
    );
  }
};
