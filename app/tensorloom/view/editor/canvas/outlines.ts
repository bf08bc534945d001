/**
 * The shapes of marks: their outlines as SVG paths and the exact test of what lies inside.
 *
 * Coordinates are relative to the mark's centre. A bond ends where it crosses the outline, so the
 * test and the path must describe the same curve; `tests/ts/outlines.test.ts` compares them.
 */

import type { MarkShape } from "../protocol.ts";
import type { DiagramPoint } from "./points.ts";

const CIRCLE = 25;
const SQUARE = 22;
const CORNER = 9;
const DIAMOND = 27;
const DOT = 6;
/** A mark without outline still keeps bonds off its name. */
const BARE = 15;
/** The triangle's base and tip; its centre of mass lies near the mark's centre. */
const TRIANGLE = { base: -19, tip: 30, half: 27 };

/** Half the outline stroke [px]; bonds end under it. */
export const OUTLINE = 1.8;
/** How far the rim reaches: pulling starts there [px]. */
export const RIM_INSIDE = 5;
export const RIM_OUTSIDE = 12;

export function inside(shape: MarkShape, x: number, y: number): boolean {
  switch (shape) {
    case "circle":
      return x * x + y * y < CIRCLE * CIRCLE;
    case "dot":
      return x * x + y * y < DOT * DOT;
    case "none":
      return x * x + y * y < BARE * BARE;
    case "diamond":
      return Math.abs(x) + Math.abs(y) < DIAMOND;
    case "square": {
      const [across, down] = [Math.abs(x), Math.abs(y)];
      if (across >= SQUARE || down >= SQUARE) return false;
      const [cornerX, cornerY] = [across - (SQUARE - CORNER), down - (SQUARE - CORNER)];
      return cornerX <= 0 || cornerY <= 0 || cornerX * cornerX + cornerY * cornerY < CORNER * CORNER;
    }
    case "triangle-right":
    case "triangle-left": {
      const along = shape === "triangle-right" ? x : -x;
      const half = (TRIANGLE.half * (TRIANGLE.tip - along)) / (TRIANGLE.tip - TRIANGLE.base);
      return along > TRIANGLE.base && along < TRIANGLE.tip && Math.abs(y) < half;
    }
    default:
      return shape satisfies never;
  }
}

/** The outline as an SVG path with its mark at `at`. */
export function outlinePath(shape: MarkShape, at: DiagramPoint = { x: 0, y: 0 }): string {
  const start = (x: number, y: number) => `M${at.x + x},${at.y + y}`;
  const round = (radius: number) => `${start(-radius, 0)}a${radius},${radius} 0 1,0 ${2 * radius},0a${radius},${radius} 0 1,0 ${-2 * radius},0z`;
  switch (shape) {
    case "circle":
      return round(CIRCLE);
    case "dot":
      return round(DOT);
    case "none":
      return round(BARE);
    case "diamond":
      return `${start(-DIAMOND, 0)}l${DIAMOND},${-DIAMOND}l${DIAMOND},${DIAMOND}l${-DIAMOND},${DIAMOND}z`;
    case "square": {
      const side = 2 * (SQUARE - CORNER);
      const arc = (x: number, y: number) => `a${CORNER},${CORNER} 0 0,1 ${x},${y}`;
      return `${start(CORNER - SQUARE, -SQUARE)}h${side}${arc(CORNER, CORNER)}v${side}${arc(-CORNER, CORNER)}h${-side}${arc(-CORNER, -CORNER)}v${-side}${arc(CORNER, -CORNER)}z`;
    }
    case "triangle-right":
    case "triangle-left": {
      const way = shape === "triangle-right" ? 1 : -1;
      const along = way * (TRIANGLE.tip - TRIANGLE.base);
      return `${start(way * TRIANGLE.base, -TRIANGLE.half)}l${along},${TRIANGLE.half}l${-along},${TRIANGLE.half}z`;
    }
    default:
      return shape satisfies never;
  }
}

/** Distance from the centre to the outline in a direction [radians]. */
export function reach(shape: MarkShape, angle: number): number {
  const [across, down] = [Math.cos(angle), Math.sin(angle)];
  let [near, far] = [0, 64];
  for (let step = 0; step < 24; step += 1) {
    const middle = (near + far) / 2;
    if (inside(shape, across * middle, down * middle)) near = middle;
    else far = middle;
  }
  return near;
}

/** Where the name's middle sits: a triangle's is nearer its base. */
export function nameAt(shape: MarkShape): DiagramPoint {
  if (shape === "triangle-right") return { x: -4.5, y: 0 };
  if (shape === "triangle-left") return { x: 4.5, y: 0 };
  return { x: 0, y: 0 };
}

/** Width and height of the outline's box [px]; the box is centred on the mark for every shape. */
export function extent(shape: MarkShape): { width: number; height: number } {
  switch (shape) {
    case "circle":
      return { width: 2 * CIRCLE, height: 2 * CIRCLE };
    case "square":
      return { width: 2 * SQUARE, height: 2 * SQUARE };
    case "diamond":
      return { width: 2 * DIAMOND, height: 2 * DIAMOND };
    case "dot":
      return { width: 2 * DOT, height: 2 * DOT };
    case "none":
      return { width: 2 * BARE, height: 2 * BARE };
    case "triangle-right":
    case "triangle-left":
      return { width: 2 * TRIANGLE.tip, height: 2 * TRIANGLE.half };
    default:
      return shape satisfies never;
  }
}

/** Where a point lies: on the body, on the rim around the outline, or off the mark. */
export function zone(shape: MarkShape, x: number, y: number): "body" | "rim" | null {
  const size = Math.hypot(x, y);
  const border = reach(shape, Math.atan2(y, x));
  // A dot is too small to have its rim inside: it is held by all of it and a little more.
  const rim = border < 2 * RIM_INSIDE + 2 ? -3 : RIM_INSIDE;
  if (size < border - rim) return "body";
  return size < border + RIM_OUTSIDE ? "rim" : null;
}
