/**
 * The drawing of a document: where every bond, leg, loop and dot runs. Pure; nothing is measured.
 *
 * A bond is a curve from centre to centre, cut exactly where it leaves the two outlines. Parallel
 * bonds fan out, a trace is a loop, an index on more than two ends is a dot with spokes, a lone index
 * that is summed ends in a dot. Where the document gives no anchor, legs point outward.
 */

import { own } from "../model/checks.ts";
import type { DocumentJson, MarkColour, MarkShape } from "../protocol.ts";
import { between, type Curve, leaving, nearest, pointAt, reversed, straight } from "./curves.ts";
import { outward } from "./directions.ts";
import { inside } from "./outlines.ts";
import { add, angleOf, type DiagramPoint, distance, dot as product, minus, polar, times, turned, unit } from "./points.ts";

export interface Placed {
  readonly id: string;
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly shape: MarkShape;
  readonly colour: MarkColour;
  readonly indices: readonly string[];
}

export type Kind = "bond" | "loop" | "open" | "summed" | "hyper";

/** One drawn line; a hyperindex has several. `tensors` are the ids at its ends, null at a dot or free end. */
export interface Strand {
  readonly curve: Curve;
  readonly tensors: readonly [string | null, string | null];
}

export interface DrawnIndex {
  readonly name: string;
  readonly dimension: number;
  readonly kind: Kind;
  readonly width: number;
  readonly strands: readonly Strand[];
  /** The dot of a hyperindex or at the end of a summed leg. */
  readonly dot: DiagramPoint | null;
  /** The free end of an open index. */
  readonly free: DiagramPoint | null;
  /** Tensors it sits on, each once. */
  readonly tensors: readonly string[];
}

export interface Scene {
  readonly tensors: readonly Placed[];
  readonly byId: ReadonlyMap<string, Placed>;
  readonly indices: readonly DrawnIndex[];
  readonly byName: ReadonlyMap<string, DrawnIndex>;
}

/** From the centre to a free end that has no anchor [px]. */
export const LEG_LENGTH = 64;
const FAN_STEP = 28;
const LOOP_REACH = 92;
const LOOP_OPENING = 0.62;
/** A straight bond must keep this far from the centres of others. */
const CLEARANCE = 33;
/** Above this many tensors a drawing seen from afar is one picture instead of a node each. */
export const CROWD = 100;
/** Above this many tensors bonds run straight over others and dots stay where they fall. */
export const BIG = 300;

export const bondWidth = (dimension: number): number => Math.min(14, 1.2 + 0.9 * Math.log2(Math.max(1, dimension)));

export function drawScene(document: DocumentJson): Scene {
  const tensors = document.tensors.flatMap((tensor): Placed[] => {
    const mark = own(document.marks, tensor.id);
    return mark ? [{ id: tensor.id, name: tensor.name, indices: tensor.indices, ...mark }] : [];
  });
  const byId = new Map(tensors.map((tensor) => [tensor.id, tensor]));
  const drawing = new Drawing(document, tensors, byId);
  const indices = drawing.all();
  return { tensors, byId, indices, byName: new Map(indices.map((index) => [index.name, index])) };
}

class Drawing {
  private readonly legs = new Map<string, Placed[]>();
  private readonly open: ReadonlySet<string>;
  /** Directions in which lines leave each tensor, as they become known. */
  private readonly taken = new Map<string, number[]>();
  private readonly done = new Map<string, DrawnIndex>();
  private readonly dots = new Map<string, DiagramPoint>();

  constructor(
    private readonly document: DocumentJson,
    private readonly tensors: readonly Placed[],
    private readonly byId: ReadonlyMap<string, Placed>,
  ) {
    this.open = new Set(document.output);
    for (const tensor of tensors) {
      for (const name of tensor.indices) {
        const ends = this.legs.get(name);
        if (ends) ends.push(tensor);
        else this.legs.set(name, [tensor]);
      }
    }
  }

  all(): DrawnIndex[] {
    const kinds = new Map([...this.legs].map(([name, ends]) => [name, kindOf(ends, this.open.has(name))]));
    const named = (kind: Kind) => [...kinds].filter(([, other]) => other === kind).map(([name]) => name);
    for (const name of named("hyper")) this.placeDot(name);
    this.bonds(named("bond"));
    for (const name of named("hyper")) this.hyper(name);
    for (const name of named("loop")) this.loop(name);
    this.ends([...named("open"), ...named("summed")], kinds);
    return [...this.legs.keys()].flatMap((name) => this.done.get(name) ?? []);
  }

  private endsOf(name: string): readonly Placed[] {
    return this.legs.get(name) ?? [];
  }

  private keep(name: string, kind: Kind, strands: Strand[], dot: DiagramPoint | null, free: DiagramPoint | null): void {
    const dimension = this.document.dimensions[name] ?? 1;
    const tensors = [...new Set(this.endsOf(name).map((tensor) => tensor.id))];
    this.done.set(name, { name, dimension, kind, width: bondWidth(dimension), strands, dot, free, tensors });
    for (const { curve, tensors: ends } of strands) {
      if (ends[0] !== null) this.take(ends[0], curve.from);
      if (ends[1] !== null) this.take(ends[1], curve.to);
    }
  }

  private take(id: string, towards: DiagramPoint): void {
    const tensor = this.byId.get(id);
    if (!tensor) return;
    const angle = angleOf(minus(towards, tensor));
    this.taken.set(id, [...(this.taken.get(id) ?? []), angle]);
  }

  private bonds(names: readonly string[]): void {
    const pairs = new Map<string, string[]>();
    for (const name of names) {
      const [one, other] = this.endsOf(name);
      if (!one || !other) continue;
      const pair = [one.id, other.id].sort().join(" ");
      pairs.set(pair, [...(pairs.get(pair) ?? []), name]);
    }
    for (const parallel of pairs.values()) {
      parallel.forEach((name, place) => {
        const [one, other] = this.endsOf(name);
        if (!one || !other) return;
        // One side of the pair for all of them, whichever end each of them names first.
        const side = one.id < other.id ? 1 : -1;
        const bow = side * (place - (parallel.length - 1) / 2) * FAN_STEP;
        const curve = bow === 0 ? this.around(one, other) : bowed(one, other, bow);
        this.keep(name, "bond", [{ curve: clipped(curve, one, other), tensors: [one.id, other.id] }], null, null);
      });
    }
  }

  /** Straight, or an arc where a straight line would run through another tensor. */
  private around(one: Placed, other: Placed): Curve {
    if (this.tensors.length > BIG) return straight(one, other);
    const along = unit(minus(other, one));
    const size = distance(one, other);
    const inTheWay = (placed: Placed): boolean => {
      if (placed.id === one.id || placed.id === other.id) return false;
      const away = minus(placed, one);
      const part = product(away, along);
      return part > 0 && part < size && Math.abs(product(away, turned(along))) < CLEARANCE - 6;
    };
    const blocked = this.tensors.some(inTheWay);
    if (!blocked && !this.runsOverDot(one, other)) return straight(one, other);
    const arcs = [-1, 1].map((side) => bowed(one, other, side * (blocked ? 78 + size * 0.02 : 30)));
    const crowd = arcs.map((curve) => {
      const points = [0.2, 0.35, 0.5, 0.65, 0.8].map((t) => pointAt(curve, t));
      return this.tensors.filter((placed) => points.some((point) => distance(point, placed) < CLEARANCE)).length;
    });
    const upper = (arcs[0] as Curve).one.y <= (arcs[1] as Curve).one.y ? 0 : 1;
    const best = (crowd[upper] ?? 0) <= (crowd[1 - upper] ?? 0) ? upper : 1 - upper;
    return arcs[best] as Curve;
  }

  /** A bond along the spokes of a dot could not be told from them. */
  private runsOverDot(one: Placed, other: Placed): boolean {
    const line = straight(one, other);
    return [...this.dots.values()].some((dot) => nearest(line, dot).distance < 14);
  }

  private placeDot(name: string): void {
    const ends = this.endsOf(name);
    const anchor = own(this.document.anchors, name);
    if (anchor) this.dots.set(name, toPoint(anchor));
    else if (new Set(ends).size > 1) this.dots.set(name, this.freePlace(ends));
  }

  private hyper(name: string): void {
    const ends = this.endsOf(name);
    const dot = this.dots.get(name) ?? this.freePlace(ends);
    const seen = new Map<string, number>();
    const strands = ends.map((tensor): Strand => {
      const count = ends.filter((other) => other === tensor).length;
      const place = seen.get(tensor.id) ?? 0;
      seen.set(tensor.id, place + 1);
      const bow = (place - (count - 1) / 2) * FAN_STEP;
      const curve = bowed(tensor, dot, bow);
      return { curve: between(curve, leaving(curve, (point) => covers(tensor, point), 1), 1), tensors: [tensor.id, null] };
    });
    if (!this.open.has(name)) {
      this.keep(name, "hyper", strands, dot, null);
      return;
    }
    const taken = ends.map((tensor) => angleOf(minus(tensor, dot)));
    const free = add(dot, polar(outward(taken, 1)[0] ?? 0, LEG_LENGTH - 14));
    this.keep(name, "hyper", [...strands, { curve: straight(dot, free), tensors: [null, null] }], dot, free);
  }

  /** The middle of the tensors, or near it where no tensor sits. */
  private freePlace(ends: readonly Placed[]): DiagramPoint {
    const each = [...new Set(ends)];
    const only = each[0];
    if (each.length === 1 && only) return add(only, polar(outward(this.taken.get(only.id) ?? [], 1)[0] ?? 0, LEG_LENGTH));
    const middle = times(each.reduce<DiagramPoint>(add, { x: 0, y: 0 }), 1 / each.length);
    const near = this.tensors.length > BIG ? each : this.tensors;
    const free = (point: DiagramPoint) => near.every((tensor) => distance(tensor, point) > 42);
    for (const radius of [0, 50, 76]) {
      for (let turn = 0; turn < (radius === 0 ? 1 : 8); turn += 1) {
        const point = add(middle, polar(-Math.PI / 2 + (turn * Math.PI) / 4, radius));
        if (free(point)) return point;
      }
    }
    return middle;
  }

  private loop(name: string): void {
    const [tensor] = this.endsOf(name);
    if (!tensor) return;
    const angle = outward(this.taken.get(tensor.id) ?? [-Math.PI / 2 + Math.PI], 1)[0] ?? 0;
    const curve: Curve = { from: tensor, one: add(tensor, polar(angle - LOOP_OPENING, LOOP_REACH)), two: add(tensor, polar(angle + LOOP_OPENING, LOOP_REACH)), to: tensor };
    this.keep(name, "loop", [{ curve: clipped(curve, tensor, tensor), tensors: [tensor.id, tensor.id] }], null, null);
  }

  private ends(names: readonly string[], kinds: ReadonlyMap<string, Kind>): void {
    const unplaced = new Map<Placed, string[]>();
    for (const name of names) {
      const [tensor] = this.endsOf(name);
      const anchor = own(this.document.anchors, name);
      if (!tensor) continue;
      if (anchor) this.end(name, tensor, toPoint(anchor), kinds.get(name) ?? "open");
      else unplaced.set(tensor, [...(unplaced.get(tensor) ?? []), name]);
    }
    for (const [tensor, loose] of unplaced) {
      const angles = outward(this.taken.get(tensor.id) ?? [], loose.length);
      loose.forEach((name, place) => this.end(name, tensor, add(tensor, polar(angles[place] ?? 0, LEG_LENGTH)), kinds.get(name) ?? "open"));
    }
  }

  private end(name: string, tensor: Placed, at: DiagramPoint, kind: Kind): void {
    const whole = straight(tensor, at);
    const curve = between(whole, leaving(whole, (point) => covers(tensor, point), 1), 1);
    this.keep(name, kind, [{ curve, tensors: [tensor.id, null] }], kind === "summed" ? at : null, kind === "open" ? at : null);
  }
}

function kindOf(ends: readonly Placed[], open: boolean): Kind {
  if (ends.length === 1) return open ? "open" : "summed";
  if (ends.length === 2 && !open) return ends[0] === ends[1] ? "loop" : "bond";
  return "hyper";
}

const toPoint = (anchor: readonly [number, number]): DiagramPoint => ({ x: anchor[0], y: anchor[1] });

export function covers(tensor: Pick<Placed, "x" | "y" | "shape">, point: DiagramPoint): boolean {
  return inside(tensor.shape, point.x - tensor.x, point.y - tensor.y);
}

/** A curve whose middle lies `bow` px beside the straight line. */
function bowed(from: DiagramPoint, to: DiagramPoint, bow: number): Curve {
  if (bow === 0) return straight(from, to);
  const aside = times(turned(unit(minus(to, from))), (bow * 4) / 3);
  const line = straight(from, to);
  // Controls nearer the ends let a strong arc clear what is beside the first tensor.
  const [near, far] = Math.abs(bow) > 60 ? [0.12, 0.88] : [1 / 3, 2 / 3];
  return { from, one: add(pointAt(line, near), aside), two: add(pointAt(line, far), aside), to };
}

function clipped(curve: Curve, one: Placed, other: Placed): Curve {
  const start = leaving(curve, (point) => covers(one, point));
  const end = 1 - leaving(reversed(curve), (point) => covers(other, point));
  return start < end ? between(curve, start, end) : between(curve, 0.5, 0.5);
}
