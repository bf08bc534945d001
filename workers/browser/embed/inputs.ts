/**
 * Numbers of an embedded tensor as they are, and as its program takes them: `execute/casting.py` for
 * numbers that a reader changes. In double precision nothing typed in leaves a 32-bit type's range.
 */

import type { DType } from "../engine/compiledFile.ts";
import { absmax, IS_SINGLE, scalarsOf, scale, shiftFor } from "../engine/scaling.ts";

/** All real and imaginary parts of `bytes * 2**exponent`, as a copy. */
export function widened(dtype: DType, bytes: Uint8Array, exponent = 0): Float64Array {
  const parts = Float64Array.from(scalarsOf(dtype, bytes.slice()));
  scale(parts, exponent);
  return parts;
}

/** The parts as raw bytes of a type, with the exponent taken out of what has left the safe range. */
export function narrowed(dtype: DType, parts: Float64Array): { bytes: Uint8Array; exponent: number } {
  const exponent = shiftFor(absmax(parts), dtype);
  const moved = parts.slice();
  scale(moved, -exponent);
  const made = IS_SINGLE[dtype] ? Float32Array.from(moved) : moved;
  return { bytes: new Uint8Array(made.buffer), exponent };
}

/**
 * What one of a tensor's parts is called: its place, and of a complex number which part it is. In C
 * order, complex numbers interleaved: part 3 of a complex 2 x 2 matrix A is `Im A[0, 1]`.
 */
export function partName(name: string, dtype: DType, shape: readonly number[], part: number): string {
  const isComplex = dtype.startsWith("complex");
  let rest = isComplex ? Math.floor(part / 2) : part;
  const place: number[] = [];
  for (const size of [...shape].reverse()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  const word = isComplex ? (part % 2 === 0 ? "Re " : "Im ") : "";
  return `${word}${name}${place.length > 0 ? `[${place.join(", ")}]` : ""}`;
}
