/**
 * Points and vectors. Diagram coordinates are the document's; screen coordinates are CSS pixels.
 *
 * The two carry different brands, so one cannot be given where the other is meant; plain `{ x, y }`
 * literals fit both.
 */

declare const space: unique symbol;

export interface DiagramPoint {
  readonly x: number;
  readonly y: number;
  readonly [space]?: "diagram";
}

export interface ScreenPoint {
  readonly x: number;
  readonly y: number;
  readonly [space]?: "screen";
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const add = (one: DiagramPoint, other: DiagramPoint): DiagramPoint => ({ x: one.x + other.x, y: one.y + other.y });
export const minus = (one: DiagramPoint, other: DiagramPoint): DiagramPoint => ({ x: one.x - other.x, y: one.y - other.y });
export const times = (point: DiagramPoint, factor: number): DiagramPoint => ({ x: point.x * factor, y: point.y * factor });
export const dot = (one: DiagramPoint, other: DiagramPoint): number => one.x * other.x + one.y * other.y;
export const length = (point: DiagramPoint): number => Math.hypot(point.x, point.y);
export const distance = (one: DiagramPoint, other: DiagramPoint): number => Math.hypot(one.x - other.x, one.y - other.y);
export const mix = (one: DiagramPoint, other: DiagramPoint, t: number): DiagramPoint => ({ x: one.x + (other.x - one.x) * t, y: one.y + (other.y - one.y) * t });
export const polar = (angle: number, radius: number): DiagramPoint => ({ x: Math.cos(angle) * radius, y: Math.sin(angle) * radius });
export const angleOf = (vector: DiagramPoint): number => Math.atan2(vector.y, vector.x);
/** A quarter turn, clockwise on the screen (y points down). */
export const turned = (vector: DiagramPoint): DiagramPoint => ({ x: -vector.y, y: vector.x });

/** The vector at length one; (1, 0) for the zero vector. */
export function unit(vector: DiagramPoint): DiagramPoint {
  const size = length(vector);
  return size < 1e-9 ? { x: 1, y: 0 } : times(vector, 1 / size);
}

/** The smaller angle between two directions, 0 to pi [radians]. */
export function angleBetween(one: number, other: number): number {
  const turn = Math.abs(one - other) % (2 * Math.PI);
  return turn > Math.PI ? 2 * Math.PI - turn : turn;
}

export const overlap = (one: Box, other: Box): boolean => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
export const grown = (box: Box, by: number): Box => ({ left: box.left - by, top: box.top - by, right: box.right + by, bottom: box.bottom + by });
export const boxAround = (centre: DiagramPoint, width: number, height: number): Box => ({
  left: centre.x - width / 2,
  right: centre.x + width / 2,
  top: centre.y - height / 2,
  bottom: centre.y + height / 2,
});

/** The smallest box with all points; an empty one at the origin when there are none. */
export function boxOf(points: readonly DiagramPoint[]): Box {
  if (points.length === 0) return { left: 0, top: 0, right: 0, bottom: 0 };
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const { x, y } of points) {
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return box;
}
