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
  /** The last gesture; null on a drawing that was not touched yet. */
  gesture: string | null;
  /** One index is held, so its popover is there. */
  indexHeld: boolean;
  pulling: boolean;
  lettered: boolean;
}

const hasBond = ({ scene }: Situation): boolean => scene.indices.some(({ kind }) => kind === "bond");
const hasEnd = ({ scene }: Situation): boolean => scene.tensors.length > 1 && scene.indices.some(({ free }) => free !== null);
const SCRUB = "Set dimension";

const HINTS: readonly (Hint & { fits: (now: Situation) => boolean })[] = [
  { id: "start", text: "Double-click the paper to place a tensor.", learnt: [], fits: ({ scene }) => scene.tensors.length === 0 },
  { id: "invite", text: "Drag a number on a bond sideways: the value follows.", learnt: [SCRUB], fits: (now) => now.gesture === null && hasBond(now) },
  { id: "size", text: "Drag the number sideways, or click it to type.", learnt: [SCRUB], fits: ({ indexHeld }) => indexHeld },
  { id: "pull", text: "Drag from a tensor's rim to pull a leg.", learnt: ["Pull a leg", "Pull a tensor", "Connect"], fits: () => true },
  { id: "join", text: "Drag a leg's end onto another tensor to join them.", learnt: ["Join legs", "Connect"], fits: hasEnd },
  { id: "tensor", text: "Hold Shift while you drop a leg: a tensor comes with it.", learnt: ["Pull a tensor"], fits: () => true },
  { id: "share", text: "Drop a leg on a bond to share its index.", learnt: ["Share an index"], fits: hasBond },
  { id: "scrub", text: "Drag a number on a bond sideways: the value follows.", learnt: [SCRUB], fits: hasBond },
  { id: "name", text: "Double-click a name to change it.", learnt: ["Rename"], fits: () => true },
  { id: "box", text: "Drag on the paper to select; scroll to move it.", learnt: ["Select"], fits: ({ scene }) => scene.tensors.length > 2 },
];

/** In the middle of a gesture the line says how it ends; otherwise the first hint that is not learnt yet. */
export function hintFor(now: Situation, learnt: ReadonlySet<string>): string {
  if (now.pulling) return "Drop it on a tensor, a leg's end or a bond; on the paper it stays open. Shift adds a tensor, Esc cancels.";
  if (now.lettered) return "Type the letters of what it is to be connected to. Esc cancels.";
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
