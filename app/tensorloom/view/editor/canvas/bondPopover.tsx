/** The popover at the one selected index: its name, its dimension to scrub, and what it joins. */

import { useStore } from "@xyflow/react";
import { useLayoutEffect, useRef, useState } from "react";
import { ARIA, registerActions } from "../actions.ts";
import { NameField } from "../chrome/nameField.tsx";
import { Scrub } from "../chrome/scrub.tsx";
import { store, useEditor } from "../store.ts";
import { hullBox } from "./curves.ts";
import { toScreen, type View } from "./fit.ts";
import { extent } from "./outlines.ts";
import { type Box, boxAround, boxOf } from "./points.ts";
import { popoverPlace, type Surroundings } from "./popoverPlace.ts";
import { BIG, type DrawnIndex, type Scene } from "./scene.ts";

const WORDS = { bond: "drag to change", hyper: "drag to change", loop: "traced", open: "open leg", summed: "summed" } as const;

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
  const [size, setSize] = useState({ width: 170, height: 44 });
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
  const place = popoverPlace(surroundings(index, scene, { x, y, zoom }), size, { width, height });
  return (
    <div ref={element} className="tl-popover" role="group" aria-label={ARIA.indexName(index.name)} style={{ left: place.x, top: place.y }} onPointerDown={(event) => event.stopPropagation()}>
      <NameField className="tl-index tl-popover-name" value={index.name} label={ARIA.indexName(index.name)} onRename={(to) => rename(index.name, to)} />
      <Scrub
        className="tl-popover-scrub"
        label={ARIA.dimension(index.name)}
        value={index.dimension}
        onChange={(dimension, phase) => store.dispatch("Set dimension", [{ kind: "set-dimension", name: index.name, dimension }], phase)}
        onCancel={() => store.cancelGesture()}
      />
      <span className="tl-quiet">{WORDS[index.kind]}</span>
    </div>
  );
}

function rename(name: string, to: string): void {
  if (store.dispatch("Rename", [{ kind: "rename-index", name, to }])) store.select({ indices: [to] });
}

/** The index on the screen, then the tensors at its ends, then the other tensors near it. */
function surroundings(index: DrawnIndex, scene: Scene, view: View): Surroundings {
  const onScreen = (box: Box): Box => {
    const [start, end] = [toScreen({ x: box.left, y: box.top }, view), toScreen({ x: box.right, y: box.bottom }, view)];
    return { left: start.x, top: start.y, right: end.x, bottom: end.y };
  };
  const corners = index.strands.flatMap(({ curve }) => {
    const box = hullBox(curve);
    return [{ x: box.left - 10, y: box.top - 10 }, { x: box.right + 10, y: box.bottom + 10 }];
  });
  const own = onScreen(boxOf(corners));
  const near = scene.tensors.length > BIG ? index.tensors.slice(0, 8).flatMap((id) => scene.byId.get(id) ?? []) : scene.tensors;
  const tensors = near.map((tensor) => {
    const { width, height } = extent(tensor.shape);
    return { box: onScreen(boxAround(tensor, width, height)), ends: index.tensors.includes(tensor.id) };
  });
  return { own, ends: tensors.filter(({ ends }) => ends).map(({ box }) => box), others: tensors.filter(({ ends }) => !ends).map(({ box }) => box) };
}
