/**
 * Going to a step of the contraction: the slider's place, and the tensors that it has brought
 * together, selected in the diagram.
 */

import type { PlanJson } from "../protocol.ts";
import { store } from "../store.ts";
import { leavesUnder } from "./treeGeometry.ts";

/** Tensor ids inside what step `step` (1..n) makes. */
export function tensorsOfStep(plan: Pick<PlanJson, "inputs" | "steps">, step: number): string[] {
  const made = plan.steps[step - 1];
  if (!made) return [];
  return leavesUnder(plan, made.out).flatMap((leaf) => plan.inputs[leaf] ?? []);
}

export function goToStep(plan: PlanJson, step: number): void {
  const bounded = Math.min(plan.steps.length, Math.max(0, step));
  store.set({ planStep: bounded });
  store.select({ tensors: tensorsOfStep(plan, bounded) });
}
