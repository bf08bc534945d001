/**
 * The choice to let kernels use several threads.
 *
 * Threads share memory only in pages that are isolated from other sites; this site's service worker
 * can see to that, from the next load on. Where there is none, there is no choice.
 */

/** Whether this page can choose: it is served with a service worker in charge. */
export function canIsolate(): boolean {
  return typeof navigator !== "undefined" && "serviceWorker" in navigator && navigator.serviceWorker.controller !== null;
}

export function isIsolated(): boolean {
  return globalThis.crossOriginIsolated === true;
}

/** Remembers the choice; resolved when the service worker has written it down. */
export function chooseIsolation(on: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = navigator.serviceWorker.controller;
    if (!worker) {
      reject(new Error("No service worker is in charge of this page."));
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve();
    worker.postMessage({ isolate: on }, [port2]);
  });
}
