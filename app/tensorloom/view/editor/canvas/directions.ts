/** Where legs without a place of their own point: outward, into the widest gaps between the others. */

import { angleBetween } from "./points.ts";

/** Down, up, right, left: the order in which a physicist draws open legs. */
const LIKED = [Math.PI / 2, -Math.PI / 2, 0, Math.PI];
const STEPS = 24;
/** How many radians of gap a liked direction is worth. */
const LIKING = 0.35;

/**
 * Directions for `count` new legs [radians] given those that are taken.
 *
 * A tensor without other legs gets left and right for two, and spreads more of them evenly.
 */
export function outward(taken: readonly number[], count: number): number[] {
  if (taken.length === 0 && count > 1) {
    if (count === 3) return [Math.PI, 0, Math.PI / 2];
    return Array.from({ length: count }, (_, step) => Math.PI + (2 * Math.PI * step) / count);
  }
  const used = [...taken];
  return Array.from({ length: count }, () => {
    const angle = widest(used);
    used.push(angle);
    return angle;
  });
}

function widest(used: readonly number[]): number {
  const candidates = [...LIKED, ...Array.from({ length: STEPS }, (_, step) => (2 * Math.PI * step) / STEPS)];
  let best = { angle: Math.PI / 2, worth: -Infinity };
  candidates.forEach((angle, place) => {
    const gap = used.reduce((least, other) => Math.min(least, angleBetween(angle, other)), Math.PI);
    // Earlier liked directions win ties; beyond a right angle more room is no better.
    const worth = Math.min(gap, Math.PI / 2) + (place < LIKED.length ? LIKING - place * 0.02 : 0);
    if (worth > best.worth + 1e-9) best = { angle, worth };
  });
  return best.angle;
}
