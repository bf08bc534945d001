/**
 * The pointer's gestures that React Flow does not know: pulling legs, moving ends and dots, scrubbing
 * a dimension in place. A small state machine without a DOM; the canvas feeds it diagram points.
 */

import { CommandError } from "../model/reducer.ts";
import type { EditorStore } from "../store.ts";
import { resolveDrop, type Source } from "./drops.ts";
import { type Hit, hitTest } from "./hit.ts";
import { type DiagramPoint, distance } from "./points.ts";
import type { Scene } from "./scene.ts";

export interface Pull {
  readonly source: Source;
  readonly start: DiagramPoint;
  readonly at: DiagramPoint;
  readonly onto: Hit | null;
  /** Whether the pointer has left its tensor: only then can it come back to make a loop. */
  readonly away: boolean;
  readonly moved: boolean;
  readonly adding: boolean;
}

/** Screen pixels before a press becomes a drag. */
const THRESHOLD = 4;

/** What pressing here would pull, if anything. */
export function sourceAt(scene: Scene, hit: Hit | null): Source | null {
  if (hit?.kind === "tensor" && hit.zone === "rim") return { kind: "tensor", id: hit.id };
  if (hit?.kind === "end") return { kind: "leg", index: hit.index, open: true };
  if (hit?.kind === "dot") {
    return scene.byName.get(hit.index)?.kind === "summed" ? { kind: "leg", index: hit.index, open: false } : { kind: "dot", index: hit.index };
  }
  return null;
}

export const begun = (source: Source, at: DiagramPoint): Pull => ({ source, start: at, at, onto: null, away: false, moved: false, adding: false });

/** The pull with the pointer somewhere else. */
export function dragged(scene: Scene, pull: Pull, at: DiagramPoint, adding: boolean, zoom: number): Pull {
  const moved = pull.moved || distance(at, pull.start) * zoom > THRESHOLD;
  const skipIndex = pull.source.kind === "tensor" ? null : pull.source.index;
  const own = pull.source.kind === "tensor" ? pull.source.id : null;
  const hit = hitTest(scene, at, { index: skipIndex }, 1 / Math.max(zoom, 0.4));
  const onOwn = hit?.kind === "tensor" && hit.id === own;
  const away = pull.away || !onOwn;
  return { ...pull, at, moved, away, adding, onto: onOwn && !away ? null : hit };
}

/** Ends and dots follow the pointer while they are dragged, as one live gesture. */
export function follow(store: EditorStore, pull: Pull): void {
  if (pull.source.kind === "tensor" || !pull.moved) return;
  const at: [number, number] = [Math.round(pull.at.x), Math.round(pull.at.y)];
  store.dispatch("Move", [{ kind: "move", positions: {}, anchors: { [pull.source.index]: at } }], "live");
}

/** Lets go: the commands of the drop, as one step. A press without a move selects. */
export function dropped(store: EditorStore, pull: Pull): void {
  store.cancelGesture();
  if (!pull.moved) {
    if (pull.source.kind === "tensor") store.select({ tensors: [pull.source.id] });
    else store.select({ indices: [pull.source.index] });
    return;
  }
  if (pull.source.kind === "tensor" && !pull.away) return;
  attempt(store, () => resolveDrop(store.get().document, pull.source, pull.onto, pull.at, pull.adding));
}

interface Attempt {
  gesture: string;
  commands: Parameters<EditorStore["dispatch"]>[1];
  tensor?: string;
  index?: string;
}

/** Makes an edit, selects what came of it, and shows the reason when it makes no sense. */
export function attempt(store: EditorStore, edit: () => Attempt | null): boolean {
  let made: Attempt | null;
  try {
    made = edit();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    store.complain({ kind: "InputError", code: error.code, message: error.message, hint: "", where: {}, values: {} });
    return false;
  }
  if (!made || !store.dispatch(made.gesture, made.commands)) return false;
  if (made.tensor !== undefined) store.select({ tensors: [made.tensor] });
  else if (made.index !== undefined) store.select({ indices: [made.index] });
  return true;
}
