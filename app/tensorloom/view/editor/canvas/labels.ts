/**
 * Names and dimensions beside the lines: where they go, and which are left out.
 *
 * Labels never touch each other or a tensor. Each tries places along its line, then the other side,
 * then gives way. The order of importance: selected, hovered, open legs, dimensions, other names.
 * A large drawing of bits, such as a circuit, shows no dimensions but those that are held.
 */

import { type Curve, curveLength, directionAt, isStraight, pointAt, samples } from "./curves.ts";
import { mathName, nameWidth } from "./mathName.ts";
import { extent } from "./outlines.ts";
import { add, type Box, boxAround, type DiagramPoint, dot, grown, minus, mix, overlap, times, turned, unit } from "./points.ts";
import type { DrawnIndex, Scene } from "./scene.ts";

export interface Label {
  readonly index: string;
  readonly kind: "name" | "dimension";
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly held: boolean;
}

export interface LabelWishes {
  selected: ReadonlySet<string>;
  hovered: string | null;
  /** Only what lies in here is labelled. */
  view: Box | null;
  /** Letters are this much larger than drawn at full size, to stay readable from farther away. */
  scale: number;
}

export const NAME_SIZE = 16;
export const DIMENSION_SIZE = 11.5;
const DIGIT = 6.6;
/** Distance of a label's middle from its line [px]. */
const ASIDE = 13;
/** Shorter lines carry no dimension [px]. */
const LEAST_LENGTH = 40;
/** With no more indices than this, all of them show their names. */
const FEW = 14;
const ALONG = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78];
const AIR = 1.5;

interface Wish {
  index: DrawnIndex;
  kind: "name" | "dimension";
  rank: number;
  scale: number;
}

export function placeLabels(scene: Scene, wishes: LabelWishes): Label[] {
  const taken = new Occupancy();
  for (const tensor of scene.tensors) {
    const { width, height } = extent(tensor.shape);
    taken.add(boxAround(tensor, width, height));
  }
  for (const index of scene.indices) if (index.dot) taken.add(boxAround(index.dot, 12, 12));
  const lines = new Occupancy();
  for (const index of scene.indices) for (const { curve } of index.strands) addLine(lines, curve, index.name);
  return ranked(scene, wishes).flatMap((wish) => {
    const held = wishes.selected.has(wish.index.name);
    const places = wish.index.kind === "open" && wish.kind === "name" ? endPlaces(wish) : linePlaces(wish);
    const { text, width, height } = measured(wish);
    const boxes = places.map((place) => boxAround(place, width, height));
    const free = boxes.filter((box) => !taken.hits(grown(box, AIR)));
    const box = free.find((candidate) => !lines.hits(candidate, wish.index.name)) ?? free[0];
    if (!box) return [];
    taken.add(box);
    return [{ index: wish.index.name, kind: wish.kind, text, x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, held }];
  });
}

function ranked(scene: Scene, { selected, hovered, view, scale }: LabelWishes): Wish[] {
  const few = scene.indices.length <= FEW;
  const bits = !few && scene.indices.every(({ dimension }) => dimension === 2);
  const wishes: Wish[] = [];
  for (const index of scene.indices) {
    const line = mainStrand(index);
    if (view && line && !overlap(boxAround(pointAt(line, 0.5), 160, 160), view)) continue;
    const held = selected.has(index.name);
    const near = index.name === hovered;
    const open = index.kind === "open";
    if (held || near || open || few) wishes.push({ index, scale, kind: "name", rank: held ? 0 : near ? 1 : open ? 2 : 4 });
    const long = line !== null && curveLength(line) >= LEAST_LENGTH;
    if ((long && !bits) || held || near) wishes.push({ index, scale, kind: "dimension", rank: held ? 0 : near ? 1 : 3 });
  }
  return wishes.sort((one, other) => one.rank - other.rank);
}

function measured({ index, kind, scale }: Wish): { text: string; width: number; height: number } {
  if (kind === "name") return { text: index.name, width: nameWidth(mathName(index.name), NAME_SIZE * scale) + 2, height: 15 * scale };
  const text = String(index.dimension);
  return { text, width: text.length * DIGIT * scale + 2, height: 11 * scale };
}

/** The line that carries the labels: the longest one. */
export function mainStrand(index: DrawnIndex): Curve | null {
  let best: { curve: Curve; size: number } | null = null;
  for (const { curve } of index.strands) {
    const size = curveLength(curve);
    if (!best || size > best.size + 0.5) best = { curve, size };
  }
  return best?.curve ?? null;
}

/** Names above or left of a line, dimensions below or right; on an arc both outside; then the other side. */
function linePlaces(wish: Wish): DiagramPoint[] {
  const { index, kind, scale } = wish;
  const curve = mainStrand(index);
  if (!curve) return [];
  const half = measured(wish).width / 2;
  const bulge = index.kind === "loop" || isStraight(curve) ? null : minus(pointAt(curve, 0.5), mix(curve.from, curve.to, 0.5));
  const preferred = (normal: DiagramPoint): number => {
    if (bulge) return dot(normal, bulge) > 0 ? 1 : -1;
    const down = normal.y > 0.05 || (Math.abs(normal.y) <= 0.05 && normal.x > 0);
    return down === (kind === "dimension") ? 1 : -1;
  };
  return [1, -1].flatMap((side) =>
    ALONG.map((t) => {
      const normal = turned(directionAt(curve, t));
      const away = index.width / 2 + (kind === "name" ? ASIDE : ASIDE - 3) * (0.4 + 0.6 * scale) + Math.abs(normal.x) * Math.max(0, half - 5);
      return add(pointAt(curve, t), times(normal, side * preferred(normal) * away));
    }),
  );
}

/** Beyond the free end, then beside it. */
function endPlaces(wish: Wish): DiagramPoint[] {
  const { index } = wish;
  const { free } = index;
  const curve = index.strands.at(-1)?.curve;
  if (!free || !curve) return [];
  const direction = unit(minus(curve.to, curve.from));
  const half = measured(wish).width / 2;
  const beyond = add(free, times(direction, 3 + 7 * wish.scale + Math.abs(direction.x) * (half - 3)));
  const aside = [1, -1].map((side) => add(free, times(turned(direction), side * (12 + half / 2))));
  return [beyond, ...aside];
}

function addLine(lines: Occupancy, curve: Curve, owner: string): void {
  const points = samples(curve, Math.max(2, Math.ceil(curveLength(curve) / 8)));
  for (const point of points) lines.add(boxAround(point, 6, 6), owner);
}

const CELL = 64;

/** Boxes by the cells they lie in, so that a label asks its neighbours only. */
class Occupancy {
  private readonly cells = new Map<number, { box: Box; owner: string | null }[]>();

  add(box: Box, owner: string | null = null): void {
    for (const cell of cellsOf(box)) {
      const list = this.cells.get(cell);
      if (list) list.push({ box, owner });
      else this.cells.set(cell, [{ box, owner }]);
    }
  }

  hits(box: Box, except: string | null = null): boolean {
    for (const cell of cellsOf(box)) {
      for (const { box: other, owner } of this.cells.get(cell) ?? []) {
        if ((owner === null || owner !== except) && overlap(box, other)) return true;
      }
    }
    return false;
  }
}

function* cellsOf(box: Box): Generator<number> {
  for (let column = Math.floor(box.left / CELL); column <= Math.floor(box.right / CELL); column += 1) {
    for (let row = Math.floor(box.top / CELL); row <= Math.floor(box.bottom / CELL); row += 1) yield column * 1_000_003 + row;
  }
}
