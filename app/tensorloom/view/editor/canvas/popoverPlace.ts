/** Where a popover goes: near what it speaks of, never on it, never off the canvas. Pure. */

import { type Box, boxAround, overlap, type ScreenPoint } from "./points.ts";

const GAP = 16;
const EDGE = 8;

/**
 * The popover's top left corner [screen px].
 *
 * @param about what it must not cover, in order of importance: the bond first, then its tensors
 * @param size of the popover
 * @param canvas width and height
 */
export function popoverPlace(about: readonly Box[], size: { width: number; height: number }, canvas: { width: number; height: number }): ScreenPoint {
  const [first] = about;
  if (!first) return { x: EDGE, y: EDGE };
  const whole = about.reduce((box, other) => ({
    left: Math.min(box.left, other.left),
    top: Math.min(box.top, other.top),
    right: Math.max(box.right, other.right),
    bottom: Math.max(box.bottom, other.bottom),
  }));
  const candidates = [whole, first].flatMap((box) => around(box, first, size));
  const kept = candidates.map((corner) => clamped(corner, size, canvas));
  const covered = kept.map((corner) => {
    const box = boxAround({ x: corner.x + size.width / 2, y: corner.y + size.height / 2 }, size.width, size.height);
    return about.reduce((sum, other, place) => sum + (overlap(box, other) ? (place === 0 ? 100 : 1) : 0), 0);
  });
  const least = Math.min(...covered);
  return kept[covered.indexOf(least)] ?? { x: EDGE, y: EDGE };
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
