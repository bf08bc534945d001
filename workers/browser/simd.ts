/** Which vector instructions this browser engine has, by trying. */

/** `v128.const; drop` and `f32x4.relaxed_madd` on three constants: valid only where they exist. */
const SIMD_PROBE = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 23, 1, 21, 0, 253, 12, ...new Array<number>(16).fill(0), 26, 11];
const ZERO128 = [253, 12, ...new Array<number>(16).fill(0)];
const RELAXED_BODY = [0, ...ZERO128, ...ZERO128, ...ZERO128, 253, 133, 2, 26, 11];
const RELAXED_PROBE = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, RELAXED_BODY.length + 2, 1, RELAXED_BODY.length, ...RELAXED_BODY];

export function hasVectors(): boolean {
  return WebAssembly.validate(new Uint8Array(SIMD_PROBE));
}

/** Fused multiply-add: relaxed SIMD. */
export function canFuse(): boolean {
  return WebAssembly.validate(new Uint8Array(RELAXED_PROBE));
}
