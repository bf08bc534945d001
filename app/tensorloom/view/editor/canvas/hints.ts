/**
 * The one hint line: what to try next, following what the user has just done. Pure.
 *
 * A hint goes for good once its gesture was made. Nothing is said while nothing is left to say but
 * the two keys that open everything.
 */

import type { Scene } from "./scene.ts";

export interface Hint {
  readonly id: string;
  readonly text: string;
  /** Gestures (names in the history) that make it superfluous. */
  readonly learnt: readonly string[];
}

interface Situation {
  scene: Scene;
  tensors: number;
  selectedIndices: number;
  pulling: boolean;
  draftWaiting: boolean;
}

const HINTS: readonly (Hint & { fits: (now: Situation) => boolean })[] = [
  { id: "start", text: "Double-click the paper to place a tensor.", learnt: ["Add a tensor"], fits: ({ tensors }) => tensors === 0 },
  { id: "scrub", text: "Drag a number on a bond sideways: the value follows.", learnt: ["Set dimension"], fits: ({ scene }) => scene.indices.some(({ kind }) => kind === "bond") },
  { id: "pull", text: "Drag from a tensor's rim to pull a leg.", learnt: ["Pull a leg", "Pull a tensor", "Connect"], fits: ({ tensors }) => tensors > 0 },
  { id: "join", text: "Drag a leg's end onto another tensor to join them.", learnt: ["Join legs", "Connect"], fits: ({ scene, tensors }) => tensors > 1 && scene.indices.some(({ free }) => free !== null) },
  { id: "tensor", text: "Hold Shift while you drop a leg: a tensor comes with it.", learnt: ["Pull a tensor"], fits: ({ tensors }) => tensors > 0 },
  { id: "share", text: "Drop a leg on a bond to share its index.", learnt: ["Share an index"], fits: ({ scene }) => scene.indices.some(({ kind }) => kind === "bond") },
  { id: "name", text: "Double-click a name to change it.", learnt: ["Rename"], fits: ({ tensors }) => tensors > 0 },
  { id: "box", text: "Drag on the paper to select; scroll to move it.", learnt: ["Move", "Select"], fits: ({ tensors }) => tensors > 2 },
];

/** During a pull the line says what a drop does; otherwise the first hint that is not learnt yet. */
export function hintFor(now: Situation, learnt: ReadonlySet<string>): string {
  if (now.pulling) return "Drop it on a tensor, a leg's end or a bond; on the paper it stays open. Shift adds a tensor, Esc cancels.";
  const hint = HINTS.find(({ learnt: by, fits }) => !by.some((gesture) => learnt.has(gesture)) && fits(now));
  return hint?.text ?? "";
}

const KEY = "tensorloom-learnt";

/** Gestures made before, from the browser's storage; empty where there is none. */
export function learntBefore(): Set<string> {
  try {
    const kept: unknown = JSON.parse(globalThis.localStorage?.getItem(KEY) ?? "[]");
    return new Set(Array.isArray(kept) ? kept.map(String) : []);
  } catch {
    return new Set();
  }
}

export function keepLearnt(learnt: ReadonlySet<string>): void {
  try {
    globalThis.localStorage?.setItem(KEY, JSON.stringify([...learnt].slice(0, 100)));
  } catch {
    // Storage may be full or forbidden; the hints then come again next time.
  }
}
