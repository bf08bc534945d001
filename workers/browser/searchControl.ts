/** Starts and stops the search worker for Python: cancel is termination, the document stays live. */

import type { BuildRecord } from "./messages.ts";

export interface SearchControl {
  start(request: string, onMessage: (text: string) => void): void;
  stop(): void;
}

export function searchControl(base: string, build: BuildRecord): SearchControl {
  let worker: Worker | null = null;
  const stop = () => {
    worker?.terminate();
    worker = null;
  };
  return {
    stop,
    start(request, onMessage) {
      stop();
      // Python proxies die with the call unless copied; the copy lives as long as this search.
      const callback = (onMessage as unknown as { copy?: () => (text: string) => void }).copy?.() ?? onMessage;
      worker = new Worker(new URL(`${build.app}search.worker.js`, base), { type: "module" });
      worker.onmessage = (event: MessageEvent<string>) => callback(event.data);
      worker.onerror = (event) => callback(JSON.stringify({ error: event.message || "The search worker failed." }));
      worker.postMessage({ base, build, request });
    },
  };
}
