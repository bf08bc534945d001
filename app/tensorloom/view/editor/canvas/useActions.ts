/** What the canvas can do by name: registers the handlers of drawing, editing and viewing actions. */

import { useReactFlow } from "@xyflow/react";
import { type RefObject, useEffect, useRef } from "react";
import { registerActions } from "../actions.ts";
import type { MarkShape } from "../protocol.ts";
import { store } from "../store.ts";
import { copiedText, duplicate, listenToClipboard, pasteText } from "./clipboard.ts";
import { insertOnBond, pullLeg, toggleOutput } from "./edits.ts";
import { fitted, sceneBox, toDiagram, toScreen } from "./fit.ts";
import type { Hit } from "./hit.ts";
import { mainStrand } from "./labels.ts";
import { pointAt } from "./curves.ts";
import { stepped } from "./moves.ts";
import { type DiagramPoint, distance } from "./points.ts";
import { attempt } from "./pulls.ts";
import { removal } from "./removals.ts";
import type { Scene } from "./scene.ts";

const STEP = 10;
/** As everything that moves: quick, and not at all when the system asks for reduced motion. */
const glideOptions = () => ({ duration: globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ? 0 : 150 });

export interface CanvasParts {
  canvas: RefObject<HTMLElement | null>;
  pointer: RefObject<DiagramPoint | null>;
  place: (shape: MarkShape, at: DiagramPoint, onto: Hit | null) => void;
  /** Cancels the gesture in the air; false when there is none. */
  cancel: () => boolean;
  rename: (hit: Hit) => void;
  connect: () => boolean;
}

export function useActions(scene: Scene, parts: CanvasParts): { fit: (glide: boolean) => void } {
  const flow = useReactFlow();
  const now = useRef({ scene, parts });
  now.current = { scene, parts };

  const fit = (glide: boolean) => {
    const box = now.current.parts.canvas.current;
    if (!box || box.clientWidth === 0) return;
    if (now.current.scene.tensors.length === 0) void flow.setViewport({ x: 0, y: 0, zoom: 1 });
    else void flow.setViewport(fitted(sceneBox(now.current.scene), box.clientWidth, box.clientHeight), glide ? glideOptions() : {});
  };

  useEffect(() => {
    const view = () => {
      const { x, y, zoom } = flow.getViewport();
      return { x, y, zoom };
    };
    const middle = (): DiagramPoint => {
      const box = now.current.parts.canvas.current;
      return toDiagram({ x: (box?.clientWidth ?? 0) / 2, y: (box?.clientHeight ?? 0) / 2 }, view());
    };
    const add = (shape: MarkShape) => () => now.current.parts.place(shape, freeSpot(now.current.scene, now.current.parts.pointer.current ?? middle()), null);
    const move = (x: number, y: number) => () => {
      const { document, selection } = store.get();
      if (selection.tensors.size + selection.indices.size === 0) return false;
      return store.dispatch("Move", [stepped(document, selection.tensors, selection.indices, { x, y })]);
    };
    const remove = () => {
      const { document, selection } = store.get();
      if (selection.tensors.size + selection.indices.size === 0) return false;
      return attempt(store, () => ({ gesture: "Delete", commands: removal(document, now.current.scene, selection.tensors, selection.indices) }));
    };
    const walk = (step: 1 | -1) => () => {
      const target = neighbour(now.current.scene, step);
      if (!target) return false;
      store.select(target.kind === "tensor" ? { tensors: [target.id] } : { indices: [target.index] });
      reveal(target.at);
      return true;
    };
    const reveal = (at: DiagramPoint) => {
      const box = now.current.parts.canvas.current;
      const { x, y } = toScreen(at, view());
      const seen = box && x > 30 && y > 30 && x < box.clientWidth - 30 && y < box.clientHeight - 30;
      if (!seen) void flow.setCenter(at.x, at.y, { zoom: view().zoom, ...glideOptions() });
    };
    const unregister = registerActions({
      "add-tensor": add("circle"),
      "add-operator": add("square"),
      "add-isometry": add("triangle-right"),
      "add-copy": add("dot"),
      "add-matrix": () => matrixOnBond(now.current.scene),
      "pull-leg": pullFromSelected,
      connect: () => now.current.parts.connect(),
      "toggle-open": toggleSelected,
      rename: () => renameSelected(now.current.parts),
      undo: () => store.undo(),
      redo: () => store.redo(),
      copy: () => void toClipboard(),
      cut: () => void toClipboard().then(remove),
      paste: () => void navigator.clipboard?.readText().then((text) => pasteText(store, text, now.current.parts.pointer.current)),
      duplicate: () => duplicate(store),
      delete: remove,
      "select-all": () => store.select({ tensors: store.get().document.tensors.map(({ id }) => id) }),
      deselect: () => {
        if (now.current.parts.cancel()) return;
        store.set({ tool: null, blamed: null });
        store.select({});
      },
      "move-left": move(-STEP, 0),
      "move-right": move(STEP, 0),
      "move-up": move(0, -STEP),
      "move-down": move(0, STEP),
      "nudge-left": move(-1, 0),
      "nudge-right": move(1, 0),
      "nudge-up": move(0, -1),
      "nudge-down": move(0, 1),
      tidy: () => void store.request({ kind: "layout" }),
      fit: () => fit(true),
      "zoom-in": () => void flow.zoomIn(glideOptions()),
      "zoom-out": () => void flow.zoomOut(glideOptions()),
      "zoom-reset": () => void flow.zoomTo(1, glideOptions()),
      next: walk(1),
      previous: walk(-1),
    });
    const unlisten = listenToClipboard(store, { at: () => now.current.parts.pointer.current, remove: () => void remove() });
    return () => {
      unregister();
      unlisten();
    };
  }, [flow]);

  return { fit };
}

async function toClipboard(): Promise<void> {
  const text = copiedText(store);
  if (text !== null) await navigator.clipboard?.writeText(text);
}

/** Near the wanted place, where no other tensor is. */
export function freeSpot(scene: Scene, wanted: DiagramPoint): DiagramPoint {
  const free = (point: DiagramPoint) => scene.tensors.every((tensor) => distance(tensor, point) > 60);
  for (let ring = 0; ring < 8; ring += 1) {
    for (let turn = 0; turn < (ring === 0 ? 1 : 6 * ring); turn += 1) {
      const angle = (2 * Math.PI * turn) / (6 * ring || 1);
      const point = { x: wanted.x + Math.cos(angle) * ring * 70, y: wanted.y + Math.sin(angle) * ring * 70 };
      if (free(point)) return point;
    }
  }
  return wanted;
}

function selectedOne(): { tensor?: string; index?: string } {
  const { tensors, indices } = store.get().selection;
  const [tensor] = tensors;
  const [index] = indices;
  if (tensors.size === 1 && indices.size === 0 && tensor !== undefined) return { tensor };
  return tensors.size === 0 && indices.size === 1 && index !== undefined ? { index } : {};
}

function pullFromSelected(): boolean {
  const { tensor } = selectedOne();
  return tensor !== undefined && attempt(store, () => ({ gesture: "Pull a leg", ...pullLeg(store.get().document, tensor, null) }));
}

function toggleSelected(): boolean {
  const { index } = selectedOne();
  if (index === undefined) return false;
  const { document } = store.get();
  const open = document.output.includes(index);
  return attempt(store, () => ({ gesture: open ? "Sum over the index" : "Open the index", ...toggleOutput(document, index) }));
}

function renameSelected({ rename }: CanvasParts): boolean {
  const { tensor, index } = selectedOne();
  if (tensor !== undefined) rename({ kind: "tensor", id: tensor, zone: "body" });
  else if (index !== undefined) rename({ kind: "end", index });
  return tensor !== undefined || index !== undefined;
}

function matrixOnBond(scene: Scene): boolean {
  const { index } = selectedOne();
  const line = index === undefined ? null : mainStrand(scene.byName.get(index) as Scene["indices"][number]);
  if (index === undefined || !line) return false;
  return attempt(store, () => ({ gesture: "Put on a bond", ...insertOnBond(store.get().document, index, pointAt(line, 0.5), "diamond") }));
}

type Stop = { kind: "tensor"; id: string; at: DiagramPoint } | { kind: "index"; index: string; at: DiagramPoint };

/** The stop after (or before) what is selected: each tensor, then the legs that were not passed yet. */
function neighbour(scene: Scene, step: 1 | -1): Stop | null {
  const stops: Stop[] = [];
  const passed = new Set<string>();
  for (const tensor of scene.tensors) {
    stops.push({ kind: "tensor", id: tensor.id, at: tensor });
    for (const name of tensor.indices) {
      const drawn = scene.byName.get(name);
      const line = drawn && mainStrand(drawn);
      if (!passed.has(name) && line) stops.push({ kind: "index", index: name, at: pointAt(line, 0.5) });
      passed.add(name);
    }
  }
  const { tensor, index } = selectedOne();
  const place = stops.findIndex((stop) => (stop.kind === "tensor" ? stop.id === tensor : stop.index === index));
  return (place < 0 ? (step === 1 ? stops[0] : stops.at(-1)) : stops[place + step]) ?? null;
}
