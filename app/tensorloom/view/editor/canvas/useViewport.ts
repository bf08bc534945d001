/** What part of the diagram is seen: following it, and fitting it to a document that is new. */

import { useOnViewportChange, useReactFlow, useStore } from "@xyflow/react";
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { own } from "../model/checks.ts";
import type { DocumentJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { sceneBox, toDiagram, toScreen, type View, wellSeen } from "./fit.ts";
import type { Box } from "./points.ts";
import { CROWD, type Scene } from "./scene.ts";

/** The part of the diagram in view; for big drawings kept as state, so that labels follow it. */
export function useView(followed: boolean): { box: Box | null; now: () => Box } {
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const [box, setBox] = useState<Box | null>(null);
  const now = useCallback((): Box => {
    const view = flow.getViewport();
    const [start, end] = [toDiagram({ x: 0, y: 0 }, view), toDiagram({ x: width, y: height }, view)];
    return { left: start.x, top: start.y, right: end.x, bottom: end.y };
  }, [flow, width, height]);
  const follow = useCallback(() => setBox(followed ? now() : null), [followed, now]);
  useOnViewportChange({ onEnd: follow });
  useEffect(follow, [follow]);
  return useMemo(() => ({ box: followed ? box : null, now }), [followed, box, now]);
}

/** Python's names for gestures that bring another drawing. */
const OPENED: ReadonlySet<string> = new Set(["Open", "Template"]);

export interface Freshness {
  /** Another document than the one before is shown and the view does not fit it yet. */
  now: boolean;
  before: DocumentJson | null;
  seen: () => void;
}

/** A document none of whose marks was there before is another one: a file, a template, a link. */
export function useFreshness(document: DocumentJson): Freshness {
  const [before, setBefore] = useState<DocumentJson | null>(null);
  const now = before === null || (before !== document && document.tensors.every(({ id }) => own(before.marks, id) !== document.marks[id]));
  return { now, before, seen: () => setBefore(document) };
}

/** Fits when the canvas has its first sizes, before the user has touched anything, and for another document. */
export function useFitting(scene: Scene, canvas: RefObject<HTMLElement | null>, fit: (glide: boolean) => void, fresh: Freshness): void {
  const flow = useReactFlow();
  const document = useEditor((state) => state.document);
  const touched = useRef(false);
  const fitting = useRef(fit);
  fitting.current = fit;
  useOnViewportChange({ onStart: () => { touched.current = true; } });
  useEffect(() => {
    const box = canvas.current;
    if (!box) return undefined;
    const watch = new ResizeObserver(() => {
      if (touched.current || store.get().canUndo) return;
      fitting.current(false);
      touched.current = false;
    });
    watch.observe(box);
    return () => watch.disconnect();
  }, [canvas]);
  useEffect(() => {
    fresh.seen();
    const box = canvas.current;
    if (!box || document.tensors.length === 0) return;
    const view = flow.getViewport();
    const room = { width: box.clientWidth, height: box.clientHeight };
    const first = fresh.before !== null && document.tensors.length === 1;
    // What was opened is shown whole, wherever the view was; what was edited moves it only if it is lost.
    const opened = fresh.now && OPENED.has(store.get().lastGesture ?? "");
    const lost = opened || (fresh.now ? !first && !wellSeen(sceneBox(scene), view, room.width, room.height) : addedOutside(fresh.before, document, view, room));
    if (lost) fitting.current(scene.tensors.length <= CROWD && fresh.before !== null);
    // Only the document decides; the scene glides and the view is the user's.
  }, [document]);
}

/** Whether something came that the user cannot see: from typed text, a file or the clipboard. */
function addedOutside(before: DocumentJson | null, now: DocumentJson, view: View, { width, height }: { width: number; height: number }): boolean {
  return now.tensors.some(({ id }) => {
    const mark = now.marks[id];
    if (!mark || (before && own(before.marks, id))) return false;
    const { x, y } = toScreen(mark, view);
    return x < 0 || y < 0 || x > width || y > height;
  });
}
