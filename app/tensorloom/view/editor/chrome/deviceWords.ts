/**
 * Words for devices and number types; one place, so that card, popover and palette agree.
 */

import type { DeviceJson, DType, RunPlace } from "../protocol.ts";

export const BACKEND_WORDS: Readonly<Record<RunPlace, string>> = {
  auto: "Automatic",
  webgpu: "WebGPU",
  "webgpu-f16": "WebGPU, 16-bit storage",
  wasm: "WASM",
  numpy: "numpy",
  worker: "Worker",
};

export const DTYPES: readonly DType[] = ["float32", "float64", "complex64", "complex128"];

/** Short form for a row, and the whole story for the ear and the tip. */
export const DTYPE_WORDS: Readonly<Record<DType, { short: string; long: string; bytes: number; complex: boolean }>> = {
  float32: { short: "f32", long: "Real numbers of 32 bits, about 7 digits", bytes: 4, complex: false },
  float64: { short: "f64", long: "Real numbers of 64 bits, about 16 digits", bytes: 8, complex: false },
  complex64: { short: "c64", long: "Complex numbers, two parts of 32 bits, about 7 digits", bytes: 8, complex: true },
  complex128: { short: "c128", long: "Complex numbers, two parts of 64 bits, about 16 digits", bytes: 16, complex: true },
};

/** `WASM, f64`. */
export function place(backend: RunPlace, dtype: DType): string {
  return `${BACKEND_WORDS[backend]}, ${DTYPE_WORDS[dtype].short}`;
}

export type LampState = "starting" | "ready" | "failed";

/** The lamp before the device line: what it says is also in the words beside it. */
export function lampState(device: DeviceJson | null, ready: boolean, failed: boolean): LampState {
  if (failed) return "failed";
  return ready && device ? "ready" : "starting";
}
