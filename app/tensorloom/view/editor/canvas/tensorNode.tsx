/** A tensor as a React Flow node: its outline, its name, and the band or ring that says it is held. */

import type { Node, NodeProps } from "@xyflow/react";
import { memo } from "react";
import { useEditor } from "../store.ts";
import { MathText } from "./mathText.tsx";
import { extent, nameAt, outlinePath } from "./outlines.ts";
import type { Placed } from "./scene.ts";

export interface TensorData extends Record<string, unknown> {
  placed: Placed;
}
export type TensorNodeType = Node<TensorData, "tensor">;

/** Side of the square in which a node is drawn; it holds every shape and its rim [px]. */
export const NODE_SIZE = 84;
const RING = 35;
const NAME = 19;

export const TensorNode = memo(function TensorNode({ id, data, selected }: NodeProps<TensorNodeType>) {
  const hovered = useEditor((state) => state.hover?.tensor === id);
  const alone = useEditor((state) => state.selection.tensors.size === 1 && state.selection.tensors.has(id));
  const wrong = useEditor((state) => isWrong(state.blamed?.tensors, state.toasts, id));
  return <TensorMark placed={data.placed} selected={selected} hovered={hovered} alone={alone} wrong={wrong} />;
});

interface MarkProps {
  placed: Placed;
  selected: boolean;
  hovered: boolean;
  alone: boolean;
  wrong: boolean;
}

function TensorMark({ placed, selected, hovered, alone, wrong }: MarkProps) {
  const { shape, colour, name } = placed;
  const path = outlinePath(shape);
  const at = nameAt(shape);
  const half = NODE_SIZE / 2;
  const state = [selected ? "is-selected" : "", hovered ? "is-hovered" : "", wrong ? "is-wrong" : ""].join(" ");
  const width = extent(shape).width;
  const most = shape.startsWith("triangle") ? 30 : width - 10;
  return (
    <svg className={`tl-mark-drawn is-${colour} is-${shape} ${state}`} width={NODE_SIZE} height={NODE_SIZE} viewBox={`${-half} ${-half} ${NODE_SIZE} ${NODE_SIZE}`} aria-hidden="true">
      {(selected || hovered || wrong) && <path className="tl-mark-band" d={path} />}
      {((alone && selected) || hovered) && <circle className={`tl-mark-ring ${alone && selected ? "is-held" : ""}`} r={shape === "dot" ? 20 : RING} />}
      <path className="tl-mark-body" d={path} />
      {shape === "dot" ? null : <MathText name={name} x={at.x} y={at.y} size={NAME} most={shape === "none" ? 60 : most} />}
    </svg>
  );
}

export function isWrong(blamed: readonly string[] | undefined, toasts: readonly { error: { where: { tensors?: string[] } } }[], id: string): boolean {
  return (blamed?.includes(id) ?? false) || toasts.some((toast) => toast.error.where.tensors?.includes(id) ?? false);
}
