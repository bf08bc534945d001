/**
 * How tensors are drawn: shape and fill of their marks. Changes the drawing, never the network.
 */

import type { Command, MarkColour, MarkShape } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Choice } from "./choice.tsx";
import { MarkIcon } from "./icons.tsx";

const SHAPES: readonly { value: MarkShape; long: string }[] = [
  { value: "circle", long: "Circle, a tensor" },
  { value: "square", long: "Rounded square, an operator" },
  { value: "triangle-right", long: "Triangle to the right, an isometry" },
  { value: "triangle-left", long: "Triangle to the left, an isometry" },
  { value: "dot", long: "Dot, a copy" },
  { value: "diamond", long: "Diamond, diagonal" },
  { value: "none", long: "No outline" },
];

const COLOURS: readonly MarkColour[] = ["blue", "amber", "rose", "green"];

export function MarkChooser({ ids }: { ids: readonly string[] }) {
  const marks = useEditor((state) => state.document.marks);
  const first = marks[ids[0] ?? ""];
  const set = (change: { shape?: MarkShape; colour?: MarkColour }) => {
    const commands = ids.flatMap((id): Command[] => {
      const mark = marks[id];
      return mark ? [{ kind: "set-mark", id, shape: change.shape ?? mark.shape, colour: change.colour ?? mark.colour }] : [];
    });
    store.dispatch("Change the mark", commands);
  };
  if (!first) return null;
  return (
    <div className="tl-marks">
      <Choice label="Shape" value={first.shape} onChange={(shape) => set({ shape })} options={SHAPES.map(({ value, long }) => ({ value, long, label: <MarkIcon shape={value} size={17} /> }))} />
      <Choice
        label="Fill"
        value={first.colour}
        onChange={(colour) => set({ colour })}
        options={COLOURS.map((value) => ({ value, long: `Fill: ${value}`, label: <span className="tl-swatch" data-colour={value} /> }))}
      />
    </div>
  );
}
