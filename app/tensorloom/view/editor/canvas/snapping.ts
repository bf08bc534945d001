/** Light alignment while moving: the nearest row or column of others pulls within a few pixels. */

import type { DiagramPoint } from "./points.ts";

export interface Snap {
  readonly shift: DiagramPoint;
  /** Lines to draw: the column and the row that it sits on now. */
  readonly column: number | null;
  readonly row: number | null;
}

const PULL = 6;

/**
 * The shift that puts the moved points on rows and columns of the resting ones.
 *
 * @param moved centres of what is moved, where the pointer has them
 * @param resting centres of everything else
 * @param zoom screen pixels per diagram pixel; the pull is felt in screen pixels
 */
export function snap(moved: readonly DiagramPoint[], resting: readonly DiagramPoint[], zoom: number): Snap {
  const across = nearest(moved.map(({ x }) => x), resting.map(({ x }) => x), PULL / zoom);
  const down = nearest(moved.map(({ y }) => y), resting.map(({ y }) => y), PULL / zoom);
  return { shift: { x: across?.shift ?? 0, y: down?.shift ?? 0 }, column: across?.at ?? null, row: down?.at ?? null };
}

function nearest(moved: readonly number[], resting: readonly number[], within: number): { shift: number; at: number } | null {
  let best: { shift: number; at: number } | null = null;
  for (const one of moved) {
    for (const other of resting) {
      const shift = other - one;
      if (Math.abs(shift) <= within && (!best || Math.abs(shift) < Math.abs(best.shift))) best = { shift, at: other };
    }
  }
  return best;
}
