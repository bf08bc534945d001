/**
 * The contraction tree and the memory strip as SVG paths over one time axis. Pure.
 *
 * What is done is not another path: the same paths are drawn twice, once quietly and once in the
 * accent, clipped at the slider. A step of the slider then costs one attribute, with 17 tensors or
 * with 924.
 */

import type { PlanJson, TensorJson } from "../protocol.ts";
import type { TreeGeometry } from "./treeGeometry.ts";

/** The drawing's box in pixels; tree above, leaves on `ground`, memory below. */
export interface PlanBox {
  width: number;
  left: number;
  right: number;
  top: number;
  ground: number;
  memoryTop: number;
  memoryBottom: number;
}

export function planBox(width: number, height: number): PlanBox {
  return { width, left: 40, right: width - 40, top: 22, ground: height - 82, memoryTop: height - 50, memoryBottom: height - 12 };
}

/** Time `x` in steps as a pixel; time 0 is left of the first step. */
export function timeX(box: PlanBox, nSteps: number, time: number): number {
  return box.left + ((box.right - box.left) * time) / Math.max(1, nSteps);
}

export function stepAt(box: PlanBox, nSteps: number, pixel: number): number {
  const time = ((pixel - box.left) / Math.max(1, box.right - box.left)) * nSteps;
  return Math.min(nSteps, Math.max(0, Math.round(time)));
}

const px = (value: number): string => String(Math.round(value * 10) / 10);

/** Lines from every tensor to what it becomes; `keep` chooses by the SSA number of the tensor. */
export function treePath(geometry: TreeGeometry, box: PlanBox, keep: (number: number) => boolean = () => true): string {
  const at = (number: number): string => {
    const point = geometry.points[number] ?? { x: 0, y: 0 };
    return `${px(timeX(box, geometry.nSteps, point.x))},${px(treeY(box, point.y))}`;
  };
  return geometry.lines.filter(({ from }) => keep(from)).map(({ from, to }) => `M${at(from)}L${at(to)}`).join("");
}

/** SSA numbers of all tensors, given and made, that carry one of the indices. */
export function carriers(plan: Pick<PlanJson, "inputs" | "steps">, tensors: readonly TensorJson[], names: ReadonlySet<string>): Set<number> {
  const touched = (indices: readonly string[]) => indices.some((name) => names.has(name));
  const given = new Set(tensors.filter((tensor) => touched(tensor.indices)).map((tensor) => tensor.id));
  return new Set([
    ...plan.inputs.flatMap((id, leaf) => (given.has(id) ? [leaf] : [])),
    ...plan.steps.flatMap((step) => (touched(step.indices) ? [step.out] : [])),
  ]);
}

export function treeY(box: PlanBox, height: number): number {
  return box.ground - (box.ground - box.top) * height;
}

/** Above this many leaves their marks would touch: ticks stand for them. */
const MOST_MARKS = 70;

/** Whether leaves are drawn as their marks, given the room. */
export function showsMarks(geometry: TreeGeometry, box: PlanBox): boolean {
  const leaves = geometry.points.length - geometry.nSteps;
  return leaves <= MOST_MARKS && (box.right - box.left) / Math.max(1, leaves) >= 13;
}

export interface MemoryStrip {
  line: string;
  area: string;
  /** Where the most is alive: step (1..n) and pixel. */
  peakStep: number;
  peakX: number;
  peakY: number;
}

/**
 * Elements alive over time: a point per step, straight between them. Many steps per pixel keep
 * only the highest one, so that no peak is lost.
 */
export function memoryStrip(plan: Pick<PlanJson, "steps">, box: PlanBox): MemoryStrip {
  const live = plan.steps.map((step) => Number(step.liveElements));
  const most = Math.max(1, ...live);
  const y = (elements: number) => box.memoryBottom - (box.memoryBottom - box.memoryTop) * (elements / most);
  const peakStep = live.indexOf(Math.max(...live)) + 1;
  const columns = new Map<number, { time: number; elements: number }>();
  live.forEach((elements, order) => {
    const time = order + 1;
    const column = Math.round(timeX(box, live.length, time));
    const old = columns.get(column);
    if (!old || elements > old.elements) columns.set(column, { time, elements });
  });
  const points = [...columns.values()].map(({ time, elements }) => `${px(timeX(box, live.length, time))},${px(y(elements))}`);
  const first = `${px(box.left)},${px(y(live[0] ?? 0))}`;
  const line = `M${[first, ...points].join("L")}`;
  return {
    line,
    area: `${line}L${px(box.right)},${px(box.memoryBottom)}L${px(box.left)},${px(box.memoryBottom)}z`,
    peakStep,
    peakX: timeX(box, live.length, peakStep),
    peakY: box.memoryTop,
  };
}

/** Bytes alive during a step: its share of the peak, as elements all have one size. */
export function bytesDuring(plan: Pick<PlanJson, "steps" | "peakBytes" | "peakElements">, step: number): string {
  const now = plan.steps[Math.max(0, step - 1)];
  const peak = BigInt(plan.peakElements);
  if (!now || peak === 0n) return "0";
  return ((BigInt(now.liveElements) * BigInt(plan.peakBytes)) / peak).toString();
}

/** How long one step stays while playing [ms]: everything in about six seconds, none faster than seen. */
export function playInterval(nSteps: number): number {
  return Math.min(420, Math.max(16, 6000 / Math.max(1, nSteps)));
}
