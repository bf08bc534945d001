/** Cubic Bézier curves: the one form in which every bond, loop and leg is drawn. */

import { add, type Box, boxOf, type DiagramPoint, distance, minus, mix, times, unit } from "./points.ts";

export interface Curve {
  readonly from: DiagramPoint;
  readonly one: DiagramPoint;
  readonly two: DiagramPoint;
  readonly to: DiagramPoint;
}

export const straight = (from: DiagramPoint, to: DiagramPoint): Curve => ({ from, one: mix(from, to, 1 / 3), two: mix(from, to, 2 / 3), to });

export function pointAt({ from, one, two, to }: Curve, t: number): DiagramPoint {
  const s = 1 - t;
  const [a, b, c, d] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return { x: a * from.x + b * one.x + c * two.x + d * to.x, y: a * from.y + b * one.y + c * two.y + d * to.y };
}

/** The direction of travel at `t`, of length one. */
export function directionAt({ from, one, two, to }: Curve, t: number): DiagramPoint {
  const s = 1 - t;
  const first = times(minus(one, from), s * s);
  const second = times(minus(two, one), 2 * s * t);
  const third = times(minus(to, two), t * t);
  return unit(add(add(first, second), third));
}

/** The piece between two parameters, by de Casteljau's construction. */
export function between(curve: Curve, start: number, end: number): Curve {
  const tail = start <= 0 ? curve : split(curve, start)[1];
  return end >= 1 ? tail : split(tail, (end - start) / (1 - start))[0];
}

function split({ from, one, two, to }: Curve, t: number): [Curve, Curve] {
  const [a, b, c] = [mix(from, one, t), mix(one, two, t), mix(two, to, t)];
  const [d, e] = [mix(a, b, t), mix(b, c, t)];
  const middle = mix(d, e, t);
  return [
    { from, one: a, two: d, to: middle },
    { from: middle, one: e, two: c, to },
  ];
}

/** Last parameter in (0, `until`] at which the curve, starting inside, leaves what `covers` covers. */
export function leaving(curve: Curve, covers: (point: DiagramPoint) => boolean, until = 0.5): number {
  let [near, far] = [0, until];
  if (covers(pointAt(curve, far))) return far;
  for (let step = 0; step < 22; step += 1) {
    const middle = (near + far) / 2;
    if (covers(pointAt(curve, middle))) near = middle;
    else far = middle;
  }
  return far;
}

export const reversed = ({ from, one, two, to }: Curve): Curve => ({ from: to, one: two, two: one, to: from });

const SAMPLES = 16;

export function samples(curve: Curve, count = SAMPLES): DiagramPoint[] {
  return Array.from({ length: count + 1 }, (_, step) => pointAt(curve, step / count));
}

export function curveLength(curve: Curve): number {
  if (isStraight(curve)) return distance(curve.from, curve.to);
  const points = samples(curve);
  return points.slice(1).reduce((sum, point, step) => sum + distance(point, points[step] ?? point), 0);
}

export function isStraight({ from, one, two, to }: Curve): boolean {
  const across = (point: DiagramPoint) => Math.abs((to.x - from.x) * (point.y - from.y) - (to.y - from.y) * (point.x - from.x));
  const size = distance(from, to);
  return across(one) < 0.05 * size && across(two) < 0.05 * size;
}

/** Distance of a point to the curve, and the parameter of the nearest point. */
export function nearest(curve: Curve, point: DiagramPoint): { distance: number; t: number } {
  const count = isStraight(curve) ? 1 : SAMPLES;
  const points = samples(curve, count);
  let best = { distance: Infinity, t: 0 };
  for (let step = 0; step < count; step += 1) {
    const [a, b] = [points[step], points[step + 1]];
    if (!a || !b) continue;
    const along = minus(b, a);
    const square = along.x * along.x + along.y * along.y;
    const part = square < 1e-9 ? 0 : Math.min(1, Math.max(0, ((point.x - a.x) * along.x + (point.y - a.y) * along.y) / square));
    const away = distance(point, mix(a, b, part));
    if (away < best.distance) best = { distance: away, t: (step + part) / count };
  }
  return best;
}

/** A box that holds the curve: the hull of its control points. */
export const hullBox = (curve: Curve): Box => boxOf([curve.from, curve.one, curve.two, curve.to]);

const short = (value: number): string => String(Math.round(value * 100) / 100);

export function svgPath(curve: Curve): string {
  const at = (point: DiagramPoint) => `${short(point.x)},${short(point.y)}`;
  if (isStraight(curve)) return `M${at(curve.from)}L${at(curve.to)}`;
  return `M${at(curve.from)}C${at(curve.one)} ${at(curve.two)} ${at(curve.to)}`;
}
