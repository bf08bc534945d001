/**
 * How far rounding can have moved an embedded value: the bound of `execute/error_bound.py`, with the
 * numbers as they are now.
 */

import type { DType } from "../engine/compiledFile.ts";
import type { Scalars } from "../engine/scaling.ts";

/** What Python knows when the file is made; files from before lack it. */
export interface Rounding {
  /** The bound where nothing cancels. */
  plain: number;
  /** How many products are added up for one element, as a power of e. */
  logSummed: number;
}

const MOST_LOSS = 700;

/** Bound on max |value - exact| / max |exact|, between 0 and 1. */
export function errorBound({ plain, logSummed }: Rounding, dtype: DType, inputs: readonly Scalars[], value: Scalars, log10Scale: number): number {
  const width = dtype.startsWith("complex") ? 2 : 1;
  const largest = largestOf(value, width);
  if (!Number.isFinite(largest)) return 1;
  let typical = logSummed / 2;
  for (const parts of inputs) typical += logSpread(parts, width);
  if (typical === -Infinity) return 0;
  if (largest === 0) return 1;
  const cancels = width === 2 || inputs.some((parts) => parts.some((part) => part < 0));
  const loss = cancels ? typical - Math.log(largest) - log10Scale * Math.LN10 : 0;
  return Math.min(1, plain * Math.exp(Math.min(MOST_LOSS, Math.max(0, loss))));
}

/** In words, with the type: what a reader sees below the value. */
export function boundWords(dtype: DType, bound: number | null): string {
  if (bound === null) return `In ${dtype}.`;
  if (bound >= 1) return `In ${dtype}. So much cancels here that no digit is certain.`;
  if (bound === 0) return `In ${dtype}, exact.`;
  // Rounded up: a bound may not become smaller by being written down.
  const power = Math.floor(Math.log10(bound));
  const tenths = Math.ceil((bound / 10 ** power) * 10 * (1 - 1e-12));
  const [digits, exponent] = tenths >= 100 ? ["1.0", power + 1] : [(tenths / 10).toFixed(1), power];
  return `In ${dtype}; rounding has moved it by at most ${digits} × 10${raised(exponent)} of its largest number.`;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function raised(exponent: number): string {
  return String(exponent).replace("-", "⁻").replaceAll(/\d/g, (digit) => RAISED[Number(digit)] ?? "");
}

function largestOf(parts: Scalars, width: number): number {
  let largest = 0;
  for (let place = 0; place < parts.length; place += width) {
    const size = width === 1 ? Math.abs(parts[place] ?? 0) : Math.hypot(parts[place] ?? 0, parts[place + 1] ?? 0);
    if (!(size <= largest)) largest = size;
  }
  return largest;
}

/** Natural log of the root of the mean square; scaled first, so that squares stay in range. */
function logSpread(parts: Scalars, width: number): number {
  const largest = largestOf(parts, 1);
  if (largest === 0) return -Infinity;
  if (!Number.isFinite(largest)) return Infinity;
  let sum = 0;
  for (const part of parts) sum += (part / largest) ** 2;
  return Math.log(largest) + Math.log((sum * width) / parts.length) / 2;
}
