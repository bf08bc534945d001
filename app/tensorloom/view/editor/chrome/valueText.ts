/**
 * The value as words: no digit that its bound does not support, scales as powers of ten. Pure.
 */

import type { PartialJson, ResultJson } from "../protocol.ts";
import { bigCount, grouped, measured, plusMinus, superscript } from "./numbers.ts";

export interface Headline {
  text: string;
  /** `± 2·10⁻¹³`, empty where nothing is known. */
  bound: string;
}

/** What stands largest in the value card: the number, or what kind of array it is. */
export function headline(result: Pick<ResultJson, "scalar" | "shape" | "norm" | "dtype" | "errorBound" | "log10Scale">): Headline {
  const { scalar, errorBound, log10Scale } = result;
  if (!scalar) return { text: arrayWords(result.shape), bound: "" };
  const [re, im] = scalar;
  const size = Math.hypot(re, im);
  const bound = boundText(size, errorBound, log10Scale);
  if (!result.dtype.startsWith("complex")) return { text: scaled(re, size * errorBound, log10Scale), bound };
  const parts = complexText(re, im, size * errorBound);
  return { text: log10Scale === 0 ? parts : `(${parts})·10${superscript(Math.round(log10Scale))}`, bound };
}

/** Digits of sums that are going to change. */
const PARTIAL_BOUND = 1e-4;

/** `7 of 64 slices`. */
export function slicesWords({ done, of }: Pick<PartialJson, "done" | "of">): string {
  return `${grouped(done)} of ${grouped(of)} slices`;
}

/** The sum so far: the number, or of an array its norm. */
export function partialText(partial: PartialJson): string {
  if (partial.scalar) return headline({ ...partial, errorBound: PARTIAL_BOUND }).text;
  return `an array of norm ${norm({ ...partial, errorBound: PARTIAL_BOUND })}`;
}

/** `0.12 − 0.88 i`; both parts share one absolute bound. */
export function complexText(re: number, im: number, bound: number): string {
  const sign = im < 0 || Object.is(im, -0) ? "−" : "+";
  const most = 6;
  return `${measured(re, bound, most)} ${sign} ${measured(Math.abs(im), bound, most)} i`;
}

/** `value·10^log10Scale` with the digits that an absolute bound on `value` supports. */
export function scaled(value: number, bound: number, log10Scale: number): string {
  if (log10Scale === 0 || value === 0 || !Number.isFinite(value)) return measured(value, bound);
  const total = Math.log10(Math.abs(value)) + log10Scale;
  const power = Math.floor(total);
  const mantissa = Math.sign(value) * 10 ** (total - power);
  return `${measured(mantissa, Math.abs(mantissa / value) * bound)}·10${superscript(power)}`;
}

function boundText(size: number, errorBound: number, log10Scale: number): string {
  const bound = size * errorBound;
  if (log10Scale === 0 || !(bound > 0) || !Number.isFinite(bound)) return plusMinus(bound);
  const power = Math.floor(Math.log10(bound) + log10Scale);
  return `±\u200910${superscript(power + 1)}`;
}

/** `Vector of 12`, `Matrix, 3 × 4`, `Array, 2 × 2 × 2`, `Array with 12 axes`. */
export function arrayWords(shape: readonly number[]): string {
  const sizes = shape.map((size) => grouped(String(size))).join(" × ");
  if (shape.length === 1) return `Vector of ${sizes}`;
  if (shape.length === 2) return `Matrix, ${sizes}`;
  return shape.length <= 5 ? `Array, ${sizes}` : `Array with ${shape.length} axes`;
}

/** `64 numbers`, `1 number`. */
export function numbersWords(count: bigint | number | string): string {
  const digits = String(count);
  return `${bigCount(digits)} ${digits === "1" ? "number" : "numbers"}`;
}

export function norm(result: Pick<ResultJson, "norm" | "errorBound" | "log10Scale">): string {
  return scaled(result.norm, result.norm * result.errorBound, result.log10Scale);
}

/** A multiply-add is two floating-point operations on real numbers and eight on complex ones. */
export function operations(mulAdds: string, complex: boolean): { text: string; each: number } {
  const each = complex ? 8 : 2;
  return { text: `${bigCount((BigInt(mulAdds) * BigInt(each)).toString())} FLOP`, each };
}

/** Where bar and mark stand, both as parts of the bar's width; the longer one leaves a margin. */
export function durationBar(ms: number, predictedMs: number): { measured: number; predicted: number } {
  const whole = 1.55 * Math.max(ms, predictedMs, Number.MIN_VALUE);
  return { measured: ms / whole, predicted: predictedMs / whole };
}

/** log2 of a size, as the power of two a physicist reads: `7.3`. */
export function powerOfTwo(width: number): string {
  return Number.isInteger(width) ? String(width) : width.toFixed(1);
}

