/**
 * What the Kernels view says of a kernel: work, traffic, speed, and where it meets the roofline. Pure.
 */

import type { CandidateJson, DeviceRecordJson, DType, KernelGroupJson, KernelShapeJson, KernelsJson, LoopRole } from "../../protocol.ts";
import { BACKEND_WORDS, DTYPE_WORDS } from "../deviceWords.ts";

/** Floating-point operations of one multiply-add: 8 for complex numbers, 2 for real ones. */
export function flopOf(dtype: DType): number {
  return DTYPE_WORDS[dtype].complex ? 8 : 2;
}

export function flop(shape: KernelShapeJson): number {
  return Number(shape.mulAdds) * flopOf(shape.dtype);
}

/** FLOP per byte of least traffic: what the roofline calls intensity. */
export function intensity(shape: KernelShapeJson): number {
  return flop(shape) / Math.max(1, shape.bytes);
}

/** The speed of the candidate in use where it was measured, else of its calls in the last run, if those say something of it. */
export function speed(shape: KernelShapeJson, kernel: number, calls: KernelsJson["calls"]): number | null {
  const used = shape.candidates.find(({ text }) => text === shape.inUse);
  if (used?.gflops != null) return used.gflops;
  if (!shape.isTimed) return null;
  const times = calls.filter((call) => call.kernel === kernel && call.ms !== null).map((call) => call.ms as number);
  const ms = times.reduce((sum, each) => sum + each, 0);
  return ms > 0 ? (flop(shape) * times.length) / ms / 1e6 : null;
}

/** Milliseconds of all calls of a kernel in the last run. */
export function totalMs(kernel: number, calls: KernelsJson["calls"]): number {
  return calls.reduce((sum, call) => sum + (call.kernel === kernel ? (call.ms ?? 0) : 0), 0);
}

/** Which steps of the contraction a kernel computed, and where: `Steps 1, 4 and 5 on WASM.` */
export function whereItRan(kernel: number, calls: KernelsJson["calls"]): string {
  const own = calls.filter((call) => call.kernel === kernel);
  const places = [...new Set(own.map((call) => BACKEND_WORDS[call.backend]))].join(" and ");
  return own.length > 0 ? `${own.length > 1 ? "Steps" : "Step"} ${stepList(own.map((call) => call.step))} of the contraction, on ${places}.` : "";
}

/** Steps as they are counted, few by number: `1, 4 and 5`, or `1, 2, 3, 4, 5, 6 and 12 more`. */
export function stepList(steps: readonly number[]): string {
  const listed = steps.slice(0, MOST_STEPS).map((step) => String(step + 1));
  const more = steps.length - listed.length;
  const last = more > 0 ? `${more} more` : (listed.pop() ?? "");
  return listed.length > 0 ? `${listed.join(", ")} and ${last}` : last;
}

/** The groups of small steps that a kernel has a part in, by number. */
export function groupsOf(kernel: number, calls: KernelsJson["calls"]): number[] {
  return [...new Set(calls.flatMap((call) => (call.kernel === kernel && call.group !== null ? [call.group] : [])))];
}

/** Which steps a group holds: `Steps 1 to 24`, or how many where others come between. */
export function groupSteps({ first, last, steps }: KernelGroupJson): string {
  if (steps === 1) return `Step ${first + 1}`;
  if (last - first + 1 > steps) return `${steps} steps from ${first + 1} to ${last + 1}`;
  return `Steps ${first + 1} to ${last + 1}`;
}

const MOST_STEPS = 6;

/** The most that memory allows at an intensity, and the machine at all [GFLOP/s]. */
export function roof(device: DeviceRecordJson, flopPerByte: number): number | null {
  if (device.peakGflops === null || device.bytesPerMs === null) return null;
  return Math.min(device.peakGflops, (flopPerByte * device.bytesPerMs) / 1e6);
}

/** The normal form's sizes as a reader writes them: `64 × (128 × 256) · 32`. */
export function sizes(shape: KernelShapeJson): string {
  const times = "\u2009×\u2009";
  const batch = shape.batch > 1 ? `${shape.batch}${times}` : "";
  return `${batch}${shape.rows}${times}${shape.columns}${times}${shape.contracted}`;
}

export const ROLE_WORDS: Readonly<Record<LoopRole, { label: string; explained: string }>> = {
  batch: { label: "batch", explained: "in both operands and in the result" },
  rows: { label: "rows", explained: "in the left operand and in the result" },
  columns: { label: "columns", explained: "in the right operand and in the result" },
  contracted: { label: "summed", explained: "in both operands, gone from the result" },
};

export const STATE_WORDS: Readonly<Record<CandidateJson["state"], string>> = {
  best: "the fastest",
  measured: "measured",
  waiting: "not tried yet",
  failed: "failed",
  cut: "ruled out",
};
