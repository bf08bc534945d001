/** Where a popover goes: near what it speaks of, never on it, never off the canvas. Pure. */

import { type Box, boxAround, overlap, type ScreenPoint } from "./points.ts";

const GAP = 16;
const EDGE = 8;

export interface Surroundings {
  /** The bond itself: never covered. */
  readonly own: Box;
  /** The tensors at its ends, and all others: covered only where there is no other room. */
  readonly ends: readonly Box[];
  readonly others: readonly Box[];
}

/**
 * The popover's top left corner [screen px].
 *
 * @param about what it should not cover
 * @param size of the popover
 * @param canvas width and height
 */
export function popoverPlace(about: Surroundings, size: { width: number; height: number }, canvas: { width: number; height: number }): ScreenPoint {
  const whole = [about.own, ...about.ends].reduce((box, other) => ({
    left: Math.min(box.left, other.left),
    top: Math.min(box.top, other.top),
    right: Math.max(box.right, other.right),
    bottom: Math.max(box.bottom, other.bottom),
  }));
  const kept = [whole, about.own].flatMap((box) => around(box, about.own, size)).map((corner) => clamped(corner, size, canvas));
  const covered = kept.map((corner) => {
    const box = boxAround({ x: corner.x + size.width / 2, y: corner.y + size.height / 2 }, size.width, size.height);
    const count = (boxes: readonly Box[]) => boxes.filter((other) => overlap(box, other)).length;
    return 1000 * count([about.own]) + 10 * count(about.ends) + 4 * count(about.others);
  });
  return kept[covered.indexOf(Math.min(...covered))] ?? { x: EDGE, y: EDGE };
}

/** Below, above, right, left of the box, centred on the bond itself. */
function around(box: Box, centre: Box, { width, height }: { width: number; height: number }): ScreenPoint[] {
  const x = (centre.left + centre.right) / 2 - width / 2;
  const y = (centre.top + centre.bottom) / 2 - height / 2;
  return [
    { x, y: box.bottom + GAP },
    { x, y: box.top - GAP - height },
    { x: box.right + GAP, y },
    { x: box.left - GAP - width, y },
  ];
}

function clamped({ x, y }: ScreenPoint, size: { width: number; height: number }, canvas: { width: number; height: number }): ScreenPoint {
  const within = (value: number, room: number) => Math.max(EDGE, Math.min(value, room - EDGE));
  return { x: within(x, canvas.width - size.width), y: within(y, canvas.height - size.height) };
}
