/** The same as `fetchAll`, done by a worker of its own where workers can have workers. */

import type { FetchAnswer, FetchRequest } from "./fetch.worker.ts";
import { FILES, fetchAll, type Fetched, type Status } from "./fetching.ts";
import type { BuildRecord, StartMode } from "./messages.ts";

interface Awaited {
  resolve(data: ArrayBuffer): void;
  reject(error: Error): void;
}

export function fetchBeside(base: string, build: BuildRecord, mode: StartMode, status: Status): Fetched {
  if (typeof Worker === "undefined") return fetchAll(base, build, mode, status);
  const worker = new Worker(new URL(`${build.app}fetch.worker.js`, base), { type: "module" });
  const awaited = new Map<string, Awaited>();
  const fetched: Fetched = new Map(FILES[mode].map((name) => [name, new Promise((resolve, reject) => awaited.set(name, { resolve, reject }))]));
  for (const file of fetched.values()) file.catch(() => undefined);
  worker.onmessage = (event: MessageEvent<FetchAnswer>) => {
    const answer = event.data;
    if (answer.type === "status") {
      status(answer.message, answer.fraction);
      return;
    }
    const waiting = awaited.get(answer.name);
    if (answer.type === "file") waiting?.resolve(answer.data);
    else waiting?.reject(new Error(answer.message));
    awaited.delete(answer.name);
    if (awaited.size === 0) worker.terminate();
  };
  worker.onerror = (event) => {
    for (const { reject } of awaited.values()) reject(new Error(event.message || "The files could not be fetched."));
  };
  worker.postMessage({ base, build, mode } satisfies FetchRequest);
  return fetched;
}
