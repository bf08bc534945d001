/**
 * Where the contraction tree's leaves and steps go: x is the step (time), y is the height.
 *
 * One x axis serves the tree and the memory strip, so a single vertical line reads both. Pure
 * geometry in a unit box; no DOM.
 */

import type { PlanJson } from "../protocol.ts";

/** x in steps (0 before the first, n after the last); y from 0 (leaves) to 1 (the result). */
export interface TreePoint {
  x: number;
  y: number;
}

export interface TreeGeometry {
  /** Position of every SSA number: leaves first, then what each step makes. */
  points: TreePoint[];
  /** Lines child -> parent, in step order: two per step. */
  lines: { from: number; to: number; step: number }[];
  nSteps: number;
}

/**
 * A leaf sits on the ground under the step that takes it in (left of it, where a step takes two);
 * a step sits at its own time, as high as its subtree is deep.
 */
export function treeGeometry(plan: Pick<PlanJson, "inputs" | "steps">): TreeGeometry {
  const nLeaves = plan.inputs.length;
  const points: TreePoint[] = Array.from({ length: nLeaves + plan.steps.length }, () => ({ x: 0, y: 0 }));
  const height: number[] = new Array<number>(points.length).fill(0);
  const lines: TreeGeometry["lines"] = [];
  plan.steps.forEach((step, order) => {
    const time = order + 1;
    const twoLeaves = step.left < nLeaves && step.right < nLeaves;
    if (step.left < nLeaves) points[step.left] = { x: twoLeaves ? time - 0.55 : time, y: 0 };
    if (step.right < nLeaves) points[step.right] = { x: twoLeaves ? time - 0.05 : time, y: 0 };
    height[step.out] = 1 + Math.max(height[step.left] ?? 0, height[step.right] ?? 0);
    points[step.out] = { x: time, y: height[step.out] ?? 1 };
    lines.push({ from: step.left, to: step.out, step: order }, { from: step.right, to: step.out, step: order });
  });
  const tallest = Math.max(1, ...plan.steps.map((step) => height[step.out] ?? 1));
  for (const point of points) point.y /= tallest;
  return { points, lines, nSteps: plan.steps.length };
}

/** The input tensors inside what SSA number `root` stands for, as positions in `plan.inputs`. */
export function leavesUnder(plan: Pick<PlanJson, "inputs" | "steps">, root: number): number[] {
  const nLeaves = plan.inputs.length;
  const open = [root];
  const found: number[] = [];
  for (let number = open.pop(); number !== undefined; number = open.pop()) {
    const step = plan.steps[number - nLeaves];
    if (number < nLeaves) found.push(number);
    else if (step) open.push(step.left, step.right);
  }
  return found.sort((one, other) => one - other);
}
