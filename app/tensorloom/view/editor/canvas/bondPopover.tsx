/** The popover at the one selected index: its name, its dimension to scrub, and what it joins. */

import { useStore } from "@xyflow/react";
import { useLayoutEffect, useRef, useState } from "react";
import { ARIA, registerActions } from "../actions.ts";
import { NameField } from "../chrome/nameField.tsx";
import { Scrub } from "../chrome/scrub.tsx";
import { store, useEditor } from "../store.ts";
import { hullBox } from "./curves.ts";
import { toggleOutput } from "./edits.ts";
import { toScreen, type View } from "./fit.ts";
import { mathName } from "./mathName.ts";
import { extent } from "./outlines.ts";
import { type Box, boxAround, boxOf } from "./points.ts";
import { popoverPlace } from "./popoverPlace.ts";
import { attempt } from "./pulls.ts";
import type { DrawnIndex, Scene } from "./scene.ts";

/** The hint line and the zoom bar at the canvas's bottom stay readable [px]. */
const HINT_HEIGHT = 44;

export function BondPopover({ scene }: { scene: Scene }) {
  const name = useEditor(({ selection }) => (selection.indices.size === 1 && selection.tensors.size === 0 ? [...selection.indices][0] : undefined));
  const index = name === undefined ? undefined : scene.byName.get(name);
  return index ? <Popover key={index.name} index={index} scene={scene} /> : null;
}

function Popover({ index, scene }: { index: DrawnIndex; scene: Scene }) {
  const [x, y, zoom] = useStore((state) => state.transform);
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const element = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 224, height: 76 });
  useLayoutEffect(() => {
    const box = element.current;
    if (box && (box.offsetWidth !== size.width || box.offsetHeight !== size.height)) setSize({ width: box.offsetWidth, height: box.offsetHeight });
  });
  useLayoutEffect(
    () =>
      registerActions({
        "set-dimension": () => element.current?.querySelector<HTMLElement>("[role=spinbutton]")?.focus(),
      }),
    [],
  );
  const place = popoverPlace(surroundings(index, scene, { x, y, zoom }), size, { width, height: height - HINT_HEIGHT });
  const open = index.kind === "open" || index.free !== null;
  return (
    <div ref={element} className="tl-popover" role="group" aria-label={ARIA.indexName(index.name)} style={{ left: place.x, top: place.y }} onPointerDown={(event) => event.stopPropagation()}>
      <div className="tl-popover-row">
        <NameField className="tl-index tl-popover-name" value={index.name} label={ARIA.indexName(index.name)} onRename={(to) => rename(index.name, to)} />
        <Scrub
          className="tl-popover-scrub"
          label={ARIA.dimension(index.name)}
          value={index.dimension}
          onChange={(dimension, phase) => store.dispatch("Set dimension", [{ kind: "set-dimension", name: index.name, dimension }], phase)}
          onCancel={() => store.cancelGesture()}
        />
        <span className="tl-quiet">drag to change</span>
      </div>
      <div className="tl-popover-row tl-quiet">
        <span className="tl-popover-about">{describe(index, scene)}</span>
        {index.kind !== "loop" && (
          <button type="button" className="tl-popover-button" onClick={() => attempt(store, () => ({ gesture: open ? "Sum over the index" : "Open the index", ...toggleOutput(store.get().document, index.name) }))}>
            {open ? "Sum over it" : index.kind === "bond" ? "Keep it open" : "Open it"}
          </button>
        )}
      </div>
    </div>
  );
}

function rename(name: string, to: string): void {
  if (store.dispatch("Rename", [{ kind: "rename-index", name, to }])) store.select({ indices: [to] });
}

function describe(index: DrawnIndex, scene: Scene): string {
  const names = index.tensors.map((id) => {
    const { base, subscript, conjugate } = mathName(scene.byId.get(id)?.name ?? id);
    return `${base}${subscript}${conjugate ? "*" : ""}`;
  });
  const few = names.length > 3 ? `${names.length} tensors` : names.join(" – ");
  if (index.kind === "loop") return `Trace of ${few}`;
  if (index.kind === "open") return `Open leg of ${few}`;
  if (index.kind === "summed") return `Leg of ${few}, summed`;
  return few;
}

/** The index on the screen, then the tensors at its ends. */
function surroundings(index: DrawnIndex, scene: Scene, view: View): Box[] {
  const onScreen = (box: Box): Box => {
    const [start, end] = [toScreen({ x: box.left, y: box.top }, view), toScreen({ x: box.right, y: box.bottom }, view)];
    return { left: start.x, top: start.y, right: end.x, bottom: end.y };
  };
  const corners = index.strands.flatMap(({ curve }) => {
    const box = hullBox(curve);
    return [{ x: box.left - 10, y: box.top - 10 }, { x: box.right + 10, y: box.bottom + 10 }];
  });
  const tensors = index.tensors.slice(0, 8).flatMap((id) => {
    const tensor = scene.byId.get(id);
    if (!tensor) return [];
    const { width, height } = extent(tensor.shape);
    return [onScreen(boxAround(tensor, width, height))];
  });
  return [onScreen(boxOf(corners)), ...tensors];
}
