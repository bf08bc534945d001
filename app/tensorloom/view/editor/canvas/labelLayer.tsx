/** Names and dimensions above everything else in the diagram. A dimension scrubs when it is dragged. */

import { useStore } from "@xyflow/react";
import { memo, useMemo } from "react";
import { useEditor } from "../store.ts";
import { DIMENSION_SIZE, type Label, NAME_SIZE, placeLabels } from "./labels.ts";
import { MathText } from "./mathText.tsx";
import type { Box } from "./points.ts";
import type { Scene } from "./scene.ts";

/** A few fixed sizes, so that zooming does not place all labels anew at every step. */
const labelScale = (zoom: number): number => (zoom > 0.8 ? 1 : zoom > 0.6 ? 1.25 : 1.5);

const NONE: ReadonlySet<string> = new Set();

export const LabelLayer = memo(function LabelLayer({ scene, view }: { scene: Scene; view: Box | null }) {
  const selected = useEditor((state) => state.selection.indices);
  const hovered = useEditor((state) => state.hover?.index ?? null);
  const scale = useStore((state) => labelScale(state.transform[2]));
  const labels = useMemo(() => placeLabels(scene, { selected: selected.size > 40 ? NONE : selected, hovered, view, scale }), [scene, selected, hovered, view, scale]);
  return (
    <svg className="tl-labels" width="1" height="1" aria-hidden="true">
      {labels.map((label) => (
        <LabelText key={`${label.kind} ${label.index}`} label={label} scale={scale} />
      ))}
    </svg>
  );
});

function LabelText({ label, scale }: { label: Label; scale: number }) {
  const held = label.held ? " is-held" : "";
  if (label.kind === "name") return <MathText name={label.text} x={label.x} y={label.y} size={NAME_SIZE * scale} className={`tl-label${held}`} />;
  return (
    <text className={`tl-label tl-dimension${held}`} data-dimension-of={label.index} x={label.x} y={label.y + DIMENSION_SIZE * scale * 0.36} textAnchor="middle" fontSize={DIMENSION_SIZE * scale}>
      {label.text}
    </text>
  );
}
