/** Placeholder until the GPU replay lands. */
import type { Pyodide } from "./pyodide.d.ts";

export function createGpuExecutor(_pyodide: Pyodide): object | null {
  return null;
}
