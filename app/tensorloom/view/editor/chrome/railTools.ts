/**
 * What the rail offers: marks that can be put on the paper, with their key. One table, read by the
 * rail, the list of gestures and the tensor card.
 */

import type { MarkShape } from "../protocol.ts";

/** Data type of a drag from the rail; the payload is the mark's shape. */
export const DRAG_TYPE = "application/x-tensorloom";

export interface RailTool {
  shape: MarkShape;
  label: string;
  /** What it is for, in the words of the field. */
  about: string;
}

export const RAIL_TOOLS: readonly RailTool[] = [
  { shape: "circle", label: "Tensor", about: "A tensor with random values" },
  { shape: "square", label: "Operator", about: "A tensor drawn as an operator" },
  { shape: "triangle-right", label: "Isometry", about: "A tensor drawn with the arrow of the gauge" },
  { shape: "dot", label: "Copy dot", about: "One where all indices agree, zero elsewhere" },
  { shape: "diamond", label: "Matrix on a bond", about: "A matrix to drop on a bond" },
];
