/** What this browser engine can do, by trying, never by its name. */

import type { EngineFeatures } from "./messages.ts";
import { canFuse, hasVectors } from "./simd.ts";

export async function engineFeatures(): Promise<EngineFeatures> {
  const gpu = (navigator as Navigator & { gpu?: GPU }).gpu;
  let adapter: unknown = null;
  try {
    adapter = gpu ? await gpu.requestAdapter() : null;
  } catch {
    adapter = null;
  }
  return {
    jspi: "Suspending" in WebAssembly,
    webgpu: adapter !== null,
    simd: hasVectors(),
    relaxedSimd: canFuse(),
    isolated: globalThis.crossOriginIsolated,
    snapshot: false,
    snapshotReason: "",
  };
}
