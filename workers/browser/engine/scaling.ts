/**
 * Carried exponents as `execute/scaling.py` has them, to the bit: true value = stored value * 2**exponent.
 */

import type { DType } from "./compiledFile.ts";

export type Scalars = Float32Array | Float64Array;

/** Whether its parts have 32 bits. */
export const IS_SINGLE: Readonly<Record<DType, boolean>> = { float32: true, complex64: true, float64: false, complex128: false };

/** Largest magnitudes between 2**-s and 2**s are left alone. */
export function safeLog2(dtype: DType): number {
  return IS_SINGLE[dtype] ? 40 : 400;
}

/** All real and imaginary parts of bytes, as a view. */
export function scalarsOf(dtype: DType, bytes: Uint8Array): Scalars {
  return IS_SINGLE[dtype] ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) : new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
}

/** The largest magnitude; 0 for none, NaN if there is one. */
export function absmax(parts: Scalars): number {
  let largest = 0;
  for (const part of parts) {
    if (part > largest) largest = part;
    else if (-part > largest) largest = -part;
    else if (part !== part) return NaN;
  }
  return largest;
}

/** Mantissa in [0.5, 1) and exponent of a finite number that is not 0. */
export function frexp(value: number): [mantissa: number, exponent: number] {
  let moved = 0;
  let scaledUp = value;
  if (Math.abs(value) < 2 ** -1000) {
    scaledUp = value * 2 ** 100;
    moved = -100;
  }
  let exponent = Math.floor(Math.log2(Math.abs(scaledUp))) + 1;
  let mantissa = scaledUp * 2 ** -exponent;
  // log2 may round up to the next whole number, or down from one.
  if (Math.abs(mantissa) >= 1) [mantissa, exponent] = [mantissa / 2, exponent + 1];
  else if (Math.abs(mantissa) < 0.5) [mantissa, exponent] = [mantissa * 2, exponent - 1];
  return [mantissa, exponent + moved];
}

/** `value * 2**exponent`, rounded once. */
export function ldexp(value: number, exponent: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  if (exponent >= -1021 && exponent <= 1023) return value * 2 ** exponent;
  const [mantissa, own] = frexp(value);
  const total = own + exponent;
  if (total > 1024) return mantissa * Infinity;
  if (total >= -1021) return mantissa * 2 * 2 ** (total - 1);
  // The first product is exact, the second rounds what is subnormal.
  return total < -1080 ? mantissa * 0 : mantissa * 2 ** -60 * 2 ** (total + 60);
}

/** The exponent to take out of a tensor: 0 within the safe range. */
export function shiftFor(largest: number, dtype: DType): number {
  if (largest === 0 || !Number.isFinite(largest)) return 0;
  const [, exponent] = frexp(largest);
  return Math.abs(exponent) > safeLog2(dtype) ? exponent : 0;
}

/** Multiplies all parts by `2**exponent`, in place. */
export function scale(parts: Scalars, exponent: number): void {
  if (exponent === 0) return;
  for (let place = 0; place < parts.length; place += 1) parts[place] = ldexp(parts[place] as number, exponent);
}

const LIMITS = {
  single: { tiny: 2 ** -126, max: (2 - 2 ** -23) * 2 ** 127 },
  double: { tiny: 2 ** -1022, max: Number.MAX_VALUE },
};

/**
 * Puts an exponent back into a result, in place; gives what is left of it as a power of ten.
 * The largest number beside such a power is between 1 and 10.
 */
export function finish(parts: Scalars, exponent: number, dtype: DType): number {
  if (exponent === 0) return 0;
  const largest = absmax(parts);
  if (largest === 0 || !Number.isFinite(largest)) return 0;
  const limits = IS_SINGLE[dtype] ? LIMITS.single : LIMITS.double;
  const trueLog2 = Math.log2(largest) + exponent;
  if (Math.log2(limits.tiny) <= trueLog2 && trueLog2 < Math.log2(limits.max)) {
    scale(parts, exponent);
    return 0;
  }
  const power = Math.floor(trueLog2 * Math.log10(2));
  const [, own] = frexp(largest);
  const [factor, shift] = ratio(exponent + own, power);
  const number = IS_SINGLE[dtype] ? Math.fround(factor) : factor;
  for (let place = 0; place < parts.length; place += 1) {
    parts[place] = ldexp(parts[place] as number, -own);
    parts[place] = (parts[place] as number) * number;
    parts[place] = ldexp(parts[place] as number, shift);
  }
  return power;
}

/** `2**two / 10**ten` as a number near 1 and a power of two; one rounding. */
function ratio(two: number, ten: number): [factor: number, shift: number] {
  // In lowest terms: 2**(two - ten) / 5**ten.
  let numerator = 5n ** BigInt(Math.max(0, -ten));
  let denominator = 5n ** BigInt(Math.max(0, ten));
  const left = BigInt(Math.abs(two - ten));
  if (two > ten) numerator <<= left;
  else denominator <<= left;
  const shift = bitLength(numerator) - bitLength(denominator);
  if (shift >= 0) denominator <<= BigInt(shift);
  else numerator <<= BigInt(-shift);
  return [quotient(numerator, denominator), shift];
}

function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * (digits.length - 1) + (32 - Math.clz32(parseInt(digits[0] as string, 16)));
}

/** A quotient between 1/2 and 2, rounded to nearest, ties to even. */
function quotient(numerator: bigint, denominator: bigint): number {
  const extra = numerator >= denominator ? 0n : 1n;
  const scaled = (numerator << (52n + extra)) * 2n;
  const twice = scaled / denominator;
  const rest = scaled % denominator;
  let mantissa = twice >> 1n;
  if (twice & 1n && (rest > 0n || mantissa & 1n)) mantissa += 1n;
  return Number(mantissa) * 2 ** -(52 + Number(extra));
}

const { fround } = Math;

/**
 * The full result while slices are added up, with one exponent for all of it.
 * What additions round away is added up beside it (Sum2), and joins it at the end.
 */
export class SliceSum {
  exponent: number | null = null;
  private excess: Scalars | null = null;

  constructor(
    private readonly axes: readonly (readonly [size: number, stride: number])[],
    /** Scalars of an element: 2 if complex. */
    private readonly width: number,
  ) {}

  /** Adds `part * 2**exponent` to `total` from element `start` on; `part` is used up. */
  add(total: Scalars, start: number, part: Scalars, exponent: number): void {
    if (this.exponent === null || exponent > this.exponent) {
      // The exponent of a zero's factors is none of its own, and could be far from that of the rest.
      if (absmax(part) === 0) return;
      if (this.exponent !== null) {
        scale(total, this.exponent - exponent);
        if (this.excess) scale(this.excess, this.exponent - exponent);
      }
      this.exponent = exponent;
    }
    scale(part, exponent - this.exponent);
    this.excess ??= total instanceof Float32Array ? new Float32Array(total.length) : new Float64Array(total.length);
    this.addAxis(total, start * this.width, part, 0, 0);
  }

  /** Adds what was rounded away; nothing is added afterwards. */
  finish(total: Scalars): void {
    for (const [place, left] of (this.excess ?? []).entries()) total[place] = (total[place] as number) + left;
  }

  private addAxis(total: Scalars, to: number, part: Scalars, from: number, axis: number): number {
    const [size, stride] = this.axes[axis] ?? [1, 1];
    if (axis >= this.axes.length - 1) {
      // Complex numbers that lie side by side are as many real ones.
      const together = stride === 1 ? size * this.width : this.width;
      for (let at = 0; at < size * this.width; at += together) this.addRow(total, to + at * stride, part, from + at, together);
      return from + size * this.width;
    }
    let at = from;
    for (let value = 0; value < size; value += 1) at = this.addAxis(total, to + value * stride * this.width, part, at, axis + 1);
    return at;
  }

  private addRow(total: Scalars, to: number, part: Scalars, from: number, count: number): void {
    if (total instanceof Float32Array) addSingles(total, this.excess as Float32Array, to, part as Float32Array, from, count);
    else addDoubles(total, this.excess as Float64Array, to, part as Float64Array, from, count);
  }
}

/** Adds numbers, and to the excess what rounding takes (TwoSum). Sums beyond the range stay infinite; nothing is left over of them. */
function addDoubles(total: Float64Array, excess: Float64Array, to: number, part: Float64Array, from: number, count: number): void {
  for (let at = 0; at < count; at += 1) {
    const before = total[to + at] as number;
    const more = part[from + at] as number;
    const after = before + more;
    const moved = after - before;
    const left = (excess[to + at] as number) + (before - (after - moved) + (more - moved));
    total[to + at] = after;
    excess[to + at] = left - left === 0 ? left : 0;
  }
}

/**
 * The same, rounded as single precision rounds. What is lost fits it, so doubles hold that exactly
 * once the larger number is taken off first (Fast2Sum); rounding at each step would take twice as long.
 */
function addSingles(total: Float32Array, excess: Float32Array, to: number, part: Float32Array, from: number, count: number): void {
  for (let at = 0; at < count; at += 1) {
    const before = total[to + at] as number;
    const more = part[from + at] as number;
    const after = fround(before + more);
    const lost = Math.abs(before) >= Math.abs(more) ? more - (after - before) : before - (after - more);
    const left = fround((excess[to + at] as number) + lost);
    total[to + at] = after;
    excess[to + at] = left - left === 0 ? left : 0;
  }
}
