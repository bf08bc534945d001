/** Tensors as React Flow nodes, and what React Flow says of them as commands and selection. */

import { type NodeChange, type OnNodesChange, useStoreApi } from "@xyflow/react";
import { useCallback, useMemo, useRef, useState } from "react";
import type { DocumentJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { moved } from "./moves.ts";
import type { DiagramPoint } from "./points.ts";
import { BIG, type Scene } from "./scene.ts";
import { type Snap, snap } from "./snapping.ts";
import { NODE_SIZE, type TensorNodeType } from "./tensorNode.tsx";

interface Drag {
  base: DocumentJson;
  commands: ReturnType<typeof moved>[];
  cancelled: boolean;
}

export interface Nodes {
  nodes: TensorNodeType[];
  onNodesChange: OnNodesChange<TensorNodeType>;
  dragging: boolean;
  snapped: Snap | null;
  cancelDrag: () => boolean;
}

const NONE: ReadonlySet<string> = new Set();

/** @param overview whether tensors are drawn as one picture; then only held ones are nodes */
export function useNodes(scene: Scene, overview: boolean): Nodes {
  const selected = useEditor((state) => state.selection.tensors);
  const hovered = useEditor((state) => (overview ? (state.hover?.tensor ?? null) : null));
  const flow = useStoreApi<TensorNodeType>();
  const cache = useRef(new Map<string, TensorNodeType>());
  const drag = useRef<Drag | null>(null);
  const [dragging, setDragging] = useState(false);
  const [snapped, setSnapped] = useState<Snap | null>(null);

  const nodes = useMemo(() => {
    const kept = new Map<string, TensorNodeType>();
    const few = selected.size <= BIG ? selected : NONE;
    for (const placed of scene.tensors) {
      if (overview && placed.id !== hovered && !few.has(placed.id)) continue;
      const old = cache.current.get(placed.id);
      const chosen = selected.has(placed.id);
      const same = old && old.selected === chosen && samePlaced(old.data.placed, placed);
      kept.set(placed.id, same ? old : nodeOf(placed, chosen));
    }
    cache.current = kept;
    return [...kept.values()];
  }, [scene, selected, overview, hovered]);

  const move = useCallback(
    (changes: NodeChange<TensorNodeType>[]) => {
      const centres = new Map<string, DiagramPoint>();
      let going = false;
      for (const change of changes) {
        if (change.type !== "position") continue;
        if (change.dragging) going = true;
        if (change.position) centres.set(change.id, change.position);
      }
      if (going && !drag.current) {
        drag.current = { base: store.get().document, commands: [], cancelled: false };
        setDragging(true);
      }
      const now = drag.current;
      if (!now) return;
      if (going && !now.cancelled && centres.size > 0) {
        const resting = scene.tensors.length > BIG ? [] : scene.tensors.filter(({ id }) => !centres.has(id));
        const pull = snap([...centres.values()], resting, flow.getState().transform[2]);
        const places = new Map([...centres].map(([id, { x, y }]) => [id, { x: x + pull.shift.x, y: y + pull.shift.y }]));
        now.commands = [moved(now.base, places)];
        setSnapped(pull);
        store.dispatch("Move", now.commands, "live");
      }
      if (!going) {
        drag.current = null;
        setDragging(false);
        setSnapped(null);
        if (!now.cancelled && now.commands.length > 0) store.dispatch("Move", now.commands);
      }
    },
    [scene, flow],
  );

  const onNodesChange = useCallback<OnNodesChange<TensorNodeType>>(
    (changes) => {
      select(changes, flow.getState().multiSelectionActive);
      if (changes.some(({ type }) => type === "position")) move(changes);
    },
    [flow, move],
  );

  const cancelDrag = useCallback(() => {
    if (!drag.current) return false;
    drag.current.cancelled = true;
    setSnapped(null);
    store.cancelGesture();
    return true;
  }, []);

  return { nodes, onNodesChange, dragging, snapped, cancelDrag };
}

function nodeOf(placed: Scene["tensors"][number], selected: boolean): TensorNodeType {
  return {
    id: placed.id,
    type: "tensor",
    position: { x: placed.x, y: placed.y },
    data: { placed },
    selected,
    width: NODE_SIZE,
    height: NODE_SIZE,
    measured: { width: NODE_SIZE, height: NODE_SIZE },
    // Only the drawn outline takes the pointer, not the square around it.
    style: { pointerEvents: "none" },
  };
}

function samePlaced(one: Scene["tensors"][number], other: Scene["tensors"][number]): boolean {
  return one.x === other.x && one.y === other.y && one.name === other.name && one.shape === other.shape && one.colour === other.colour;
}

/** A click without Shift or Ctrl lets go of selected indices; clearing tensors alone does not. */
function select(changes: readonly NodeChange<TensorNodeType>[], adding: boolean): void {
  const { selection } = store.get();
  const tensors = new Set(selection.tensors);
  let chosen = false;
  for (const change of changes) {
    if (change.type !== "select") continue;
    if (change.selected) {
      tensors.add(change.id);
      chosen = true;
    } else tensors.delete(change.id);
  }
  const same = tensors.size === selection.tensors.size && [...tensors].every((id) => selection.tensors.has(id));
  if (!same || (chosen && !adding && selection.indices.size > 0)) store.select({ tensors, indices: chosen && !adding ? [] : selection.indices });
}
