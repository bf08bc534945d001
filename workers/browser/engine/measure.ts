/** Times a step in windows, outside Python: warm first, then until enough time is measured. */

export interface Measured {
  /** Median and best over the windows [ms]. */
  ms: number;
  bestMs: number;
  windows: number;
}

/** Long beside what browsers round their clocks to: 0.1 ms, where isolated 0.005. */
const WINDOW_MS = 4;
/** Engines put optimised code in place while code runs; windows agree when that is done. */
const AGREE = 0.03;
const LONGEST_WARMUP_MS = 300;
const STRIDE = 8;

/** How often to run in the next window; grown in strides, as a rounded clock may have shown 0. */
function next(count: number, each: number): number {
  const wanted = Math.ceil(WINDOW_MS / Math.max(each, 1e-6));
  return Math.max(1, Math.min(STRIDE * count, wanted));
}

/**
 * @param step what is timed
 * @param minMs how long all windows together last at least
 * @param warmupMs longest wait for windows to agree
 */
export function measure(step: () => void, minMs: number, warmupMs = LONGEST_WARMUP_MS): Measured {
  const timed = (count: number): number => {
    const start = performance.now();
    for (let number = 0; number < count; number += 1) step();
    return (performance.now() - start) / count;
  };
  const began = performance.now();
  let count = 1;
  const recent: number[] = [];
  do {
    const each = timed(count);
    const grown = next(count, each);
    // Windows count once they are long enough for the clock.
    if (grown <= 2 * count) recent.push(each);
    count = grown;
    const last = recent.slice(-3);
    if (last.length === 3 && Math.max(...last) <= (1 + AGREE) * Math.min(...last)) break;
  } while (recent.length === 0 || performance.now() - began < warmupMs);
  const windows: number[] = [];
  for (let spent = 0; spent < minMs || windows.length < 3; ) {
    const found = timed(count);
    // The machine was busy while it warmed up, so that it is repeated too seldom for the clock.
    const grown = next(count, found);
    if (grown > 2 * count) {
      count = grown;
      windows.length = 0;
      continue;
    }
    windows.push(found);
    spent += found * count;
  }
  windows.sort((one, other) => one - other);
  return { ms: windows[windows.length >> 1] as number, bestMs: windows[0] as number, windows: windows.length };
}
