/**
 * The pointer on the canvas, before React Flow sees it: pulling from rims, ends and dots, scrubbing
 * numbers, hovering, clicking bonds, placing what the rail armed. Bodies and paper stay React Flow's.
 */

import { useStoreApi } from "@xyflow/react";
import { type DragEvent, type MouseEvent, type PointerEvent, type RefObject, type SyntheticEvent, useCallback, useEffect, useRef, useState } from "react";
import { DRAG_TYPE } from "../chrome/railTools.ts";
import type { MarkShape } from "../protocol.ts";
import { store } from "../store.ts";
import { addTensor, insertOnBond } from "./edits.ts";
import { toDiagram } from "./fit.ts";
import { type Hit, hitTest } from "./hit.ts";
import type { DiagramPoint } from "./points.ts";
import { begun, attempt, dragged, dropped, follow, type Pull, sourceAt } from "./pulls.ts";
import type { Scene } from "./scene.ts";

/** Sideways screen pixels per step while a dimension is scrubbed, as in `chrome/scrub.tsx`. */
const PIXELS_PER_STEP = 12;
const MAX_DIMENSION = 2 ** 31 - 1;

interface ScrubDrag {
  index: string;
  x: number;
  from: number;
  last: number;
}

export interface Gestures {
  pull: Pull | null;
  cancel: () => boolean;
  /** Where the pointer was last, in the diagram; null while it is elsewhere. */
  pointer: RefObject<DiagramPoint | null>;
  place: (shape: MarkShape, at: DiagramPoint, onto: Hit | null) => void;
  handlers: {
    onPointerDownCapture: (event: PointerEvent<HTMLElement>) => void;
    onPointerMove: (event: PointerEvent<HTMLElement>) => void;
    onPointerUp: (event: PointerEvent<HTMLElement>) => void;
    onPointerCancel: () => void;
    onPointerLeave: () => void;
    onMouseDownCapture: (event: SyntheticEvent) => void;
    onTouchStartCapture: (event: SyntheticEvent) => void;
    onDoubleClick: (event: MouseEvent<HTMLElement>) => void;
    onDragOver: (event: DragEvent<HTMLElement>) => void;
    onDrop: (event: DragEvent<HTMLElement>) => void;
  };
  onPaneClick: (event: globalThis.MouseEvent | MouseEvent) => void;
}

/** On the diagram itself, not on a popover or button that floats over it. */
const onDiagram = (target: EventTarget | null): boolean => target instanceof Element && target.closest(".react-flow__pane") !== null;

export function useGestures(scene: Scene, canvas: RefObject<HTMLElement | null>, rename: (hit: Hit) => void): Gestures {
  const flow = useStoreApi();
  const [pull, setPull] = useState<Pull | null>(null);
  const held = useRef<Pull | null>(null);
  const scrub = useRef<ScrubDrag | null>(null);
  const claimed = useRef(false);
  const pointer = useRef<DiagramPoint | null>(null);

  const locate = useCallback(
    (event: { clientX: number; clientY: number }): DiagramPoint => {
      const box = canvas.current?.getBoundingClientRect();
      const [x, y, zoom] = flow.getState().transform;
      return toDiagram({ x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) }, { x, y, zoom });
    },
    [canvas, flow],
  );
  const zoomNow = () => flow.getState().transform[2];
  const under = (at: DiagramPoint) => hitTest(scene, at, {}, 1 / Math.max(zoomNow(), 0.25));
  const hold = (next: Pull | null) => {
    held.current = next;
    setPull(next);
  };

  const cancel = useCallback(() => {
    if (!held.current && !scrub.current) return false;
    held.current = null;
    scrub.current = null;
    setPull(null);
    store.cancelGesture();
    return true;
  }, []);

  // Shift pressed or let go in the middle of a pull changes what a drop does.
  useEffect(() => {
    const shift = (event: KeyboardEvent) => {
      if (event.key !== "Shift" || !held.current) return;
      hold({ ...held.current, adding: event.type === "keydown" });
    };
    globalThis.addEventListener("keydown", shift);
    globalThis.addEventListener("keyup", shift);
    return () => {
      globalThis.removeEventListener("keydown", shift);
      globalThis.removeEventListener("keyup", shift);
    };
  }, []);

  const place = (shape: MarkShape, at: DiagramPoint, onto: Hit | null) => {
    const { document } = store.get();
    if (onto?.kind === "bond") attempt(store, () => ({ gesture: "Put on a bond", ...insertOnBond(document, onto.index, at, shape) }));
    else attempt(store, () => ({ gesture: "Add a tensor", ...addTensor(document, at, shape) }));
  };

  const startScrub = (event: PointerEvent<HTMLElement>): boolean => {
    const index = event.target instanceof Element ? event.target.getAttribute("data-dimension-of") : null;
    const from = index === null ? undefined : store.get().document.dimensions[index];
    if (index === null || from === undefined) return false;
    scrub.current = { index, x: event.clientX, from, last: from };
    store.select({ indices: [index] });
    return true;
  };

  const onPointerDownCapture = (event: PointerEvent<HTMLElement>) => {
    claimed.current = false;
    if (!onDiagram(event.target)) return;
    if (canvas.current) canvas.current.dataset.pointer = "";
    canvas.current?.focus({ preventScroll: true });
    if (store.get().blamed) store.set({ blamed: null });
    if (event.button !== 0 || !event.isPrimary || store.get().tool !== null) return;
    const at = locate(event);
    if (!startScrub(event)) {
      const source = event.ctrlKey || event.metaKey ? null : sourceAt(scene, under(at));
      if (!source) return;
      hold(begun(source, at));
    }
    claimed.current = true;
    canvas.current?.setPointerCapture(event.pointerId);
    event.stopPropagation();
  };

  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const at = locate(event);
    pointer.current = at;
    if (scrub.current) {
      scrubTo(scrub.current, event.clientX);
      return;
    }
    if (held.current) {
      hold(dragged(scene, held.current, at, event.shiftKey, zoomNow()));
      if (held.current) follow(store, held.current);
      return;
    }
    if (event.pointerType === "touch" || event.buttons !== 0) return;
    const hit = onDiagram(event.target) ? under(at) : null;
    store.hover(hit === null ? null : hit.kind === "tensor" ? { tensor: hit.id } : { index: hit.index });
    if (canvas.current) canvas.current.dataset.over = hit === null ? "" : hit.kind === "tensor" ? hit.zone : hit.kind;
  };

  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const [done, scrubbed] = [held.current, scrub.current];
    if (!done && !scrubbed) return;
    canvas.current?.releasePointerCapture(event.pointerId);
    hold(null);
    scrub.current = null;
    store.hover(null);
    if (done) dropped(store, done);
    if (scrubbed && scrubbed.last !== scrubbed.from) setDimension(scrubbed.index, scrubbed.last, "commit");
    else if (scrubbed) store.cancelGesture();
  };

  const swallow = (event: SyntheticEvent) => {
    if (claimed.current) event.stopPropagation();
  };

  const onDoubleClick = (event: MouseEvent<HTMLElement>) => {
    if (!onDiagram(event.target)) return;
    const at = locate(event);
    const hit = under(at);
    if (hit) rename(hit);
    else place("circle", at, null);
  };

  const onPaneClick = (event: globalThis.MouseEvent | MouseEvent) => {
    const at = locate(event);
    const hit = under(at);
    const { tool, selection } = store.get();
    if (tool !== null) {
      place(tool, at, hit);
      if (!event.shiftKey) store.set({ tool: null });
      return;
    }
    if (hit?.kind === "tensor") store.select({ tensors: event.shiftKey ? [...selection.tensors, hit.id] : [hit.id] });
    else if (hit) store.select({ indices: event.shiftKey ? toggled(selection.indices, hit.index) : [hit.index], tensors: event.shiftKey ? selection.tensors : [] });
    else store.select({});
  };

  const onDragOver = (event: DragEvent<HTMLElement>) => {
    if (!event.dataTransfer.types.includes(DRAG_TYPE)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    const hit = under(locate(event));
    store.hover(hit?.kind === "bond" ? { index: hit.index } : null);
  };

  const onDrop = (event: DragEvent<HTMLElement>) => {
    const shape = event.dataTransfer.getData(DRAG_TYPE);
    if (shape === "") return;
    event.preventDefault();
    const at = locate(event);
    place(shape as MarkShape, at, under(at));
    canvas.current?.focus({ preventScroll: true });
  };

  return {
    pull: pull?.moved ? pull : null,
    cancel,
    pointer,
    place,
    onPaneClick,
    handlers: {
      onPointerDownCapture,
      onPointerMove,
      onPointerUp,
      onPointerCancel: () => void cancel(),
      onPointerLeave: () => {
        pointer.current = null;
        if (!held.current) store.hover(null);
      },
      onMouseDownCapture: swallow,
      onTouchStartCapture: swallow,
      onDoubleClick,
      onDragOver,
      onDrop,
    },
  };
}

function setDimension(name: string, dimension: number, phase: "live" | "commit"): void {
  store.dispatch("Set dimension", [{ kind: "set-dimension", name, dimension }], phase);
}

function scrubTo(now: ScrubDrag, x: number): void {
  const next = Math.min(MAX_DIMENSION, Math.max(1, now.from + Math.trunc((x - now.x) / PIXELS_PER_STEP)));
  if (next === now.last) return;
  now.last = next;
  setDimension(now.index, next, "live");
}

function toggled(names: ReadonlySet<string>, name: string): string[] {
  return names.has(name) ? [...names].filter((other) => other !== name) : [...names, name];
}
