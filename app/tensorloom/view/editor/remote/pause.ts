/** Waiting between two tries. */

/** Resolves after so many milliseconds, or as soon as there is nothing left to wait for. */
export function pause(ms: number, over?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (over?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      over?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    over?.addEventListener("abort", end);
  });
}
