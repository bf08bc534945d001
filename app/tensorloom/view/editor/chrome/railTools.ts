/**
 * What the rail offers: marks that can be put on the paper, with their key. One table, read by the
 * rail, the list of gestures and the tensor card.
 */

import type { ActionId } from "../actions.ts";
import type { MarkShape } from "../protocol.ts";

/** Data type of a drag from the rail; the payload is the mark's shape. */
export const DRAG_TYPE = "application/x-tensorloom";

export interface RailTool {
  shape: MarkShape;
  label: string;
  /** What it is for, in the words of the field. */
  about: string;
  /** The same by key. */
  action: ActionId;
}

export const RAIL_TOOLS: readonly RailTool[] = [
  { shape: "circle", label: "Tensor", about: "A tensor with random values", action: "add-tensor" },
  { shape: "square", label: "Operator", about: "A tensor drawn as an operator", action: "add-operator" },
  { shape: "triangle-right", label: "Isometry", about: "A tensor drawn with the arrow of the gauge", action: "add-isometry" },
  { shape: "dot", label: "Copy dot", about: "One where all indices agree, zero elsewhere", action: "add-copy" },
  { shape: "diamond", label: "Matrix on a bond", about: "A matrix to drop on a bond", action: "add-matrix" },
];
