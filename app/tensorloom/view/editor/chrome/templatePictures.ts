/**
 * Small drawings of the templates, in the diagram's own vocabulary. Pure; 132 x 76 units.
 */

import type { MarkColour, MarkShape } from "../protocol.ts";

export interface PictureMark {
  x: number;
  y: number;
  shape: MarkShape;
  colour: MarkColour;
}

export interface Picture {
  /** One SVG path of all bonds and legs. */
  lines: string;
  marks: PictureMark[];
}

export const PICTURE = { width: 132, height: 76 } as const;

type Builder = { lines: string[]; marks: PictureMark[] };

const line = (x1: number, y1: number, x2: number, y2: number): string => `M${x1},${y1}L${x2},${y2}`;
const mark = (x: number, y: number, colour: MarkColour, shape: PictureMark["shape"] = "circle"): PictureMark => ({ x, y, shape, colour });

function chain(legs: readonly number[], shape: PictureMark["shape"], colour: MarkColour, middle: number): Builder {
  const xs = [18, 42, 66, 90, 114];
  return {
    lines: [line(18, middle, 114, middle), ...xs.flatMap((x) => legs.map((leg) => line(x, middle, x, middle + leg)))],
    marks: xs.map((x) => mark(x, middle, colour, shape)),
  };
}

function grid(): Builder {
  const [xs, ys] = [[24, 52, 80, 108], [17, 38, 59]];
  return {
    lines: [...ys.map((y) => line(24, y, 108, y)), ...xs.map((x) => line(x, 17, x, 59)), ...ys.flatMap((y) => xs.map((x) => line(x, y, x + 9, y + 9)))],
    marks: ys.flatMap((y) => xs.map((x) => mark(x, y, "blue"))),
  };
}

function tree(): Builder {
  const [ground, middle] = [[24, 52, 80, 108], [38, 94]];
  return {
    lines: [
      line(66, 14, 38, 34), line(66, 14, 94, 34),
      ...middle.flatMap((x) => [line(x, 34, x - 14, 54), line(x, 34, x + 14, 54)]),
      ...ground.flatMap((x) => [line(x, 54, x - 6, 69), line(x, 54, x + 6, 69)]),
    ],
    marks: [mark(66, 14, "amber"), ...middle.map((x) => mark(x, 34, "blue")), ...ground.map((x) => mark(x, 54, "blue"))],
  };
}

function mera(): Builder {
  const [low, high] = [[22, 51, 81, 110], [36.5, 66, 95.5]];
  return {
    lines: [
      ...low.flatMap((x) => [line(x, 58, x - 7, 72), line(x, 58, x + 7, 72)]),
      ...high.flatMap((x, order) => [line(x, 38, low[order] ?? x, 58), line(x, 38, low[order + 1] ?? x, 58)]),
      line(36.5, 38, 66, 14), line(95.5, 38, 66, 14), line(66, 38, 66, 14), line(22, 58, 22, 42), line(110, 58, 110, 42),
    ],
    marks: [...low.map((x) => mark(x, 58, "green", "square")), ...high.map((x) => mark(x, 38, "blue")), mark(66, 14, "amber")],
  };
}

function ring(): Builder {
  const corners = Array.from({ length: 8 }, (_, order) => {
    const angle = (order * Math.PI) / 4 - Math.PI / 2;
    return [Math.cos(angle), Math.sin(angle)] as const;
  });
  const at = ([x, y]: readonly [number, number], radius: number) => [Math.round(10 * (66 + radius * x)) / 10, Math.round(10 * (38 + radius * y)) / 10] as const;
  return {
    lines: corners.flatMap((corner, order) => [line(...at(corner, 23), ...at(corners[(order + 1) % 8] ?? corner, 23)), line(...at(corner, 23), ...at(corner, 35))]),
    marks: corners.map((corner) => mark(...at(corner, 23), "blue")),
  };
}

/** A state, an operator and the state again: the sandwich of an expectation value. */
function sandwich(): Builder {
  const [xs, ys] = [[18, 42, 66, 90, 114], [14, 38, 62]];
  const row = (y: number) => xs.map((x, order) => (order === 2 ? mark(x, y, "amber") : mark(x, y, "blue", order < 2 ? "triangle-right" : "triangle-left")));
  return {
    lines: [...ys.map((y) => line(18, y, 114, y)), ...xs.map((x) => line(x, 14, x, 62))],
    marks: [...row(14), ...xs.map((x) => mark(x, 38, "green", "square")), ...row(62)],
  };
}

function circuit(): Builder {
  const wires = [14, 30, 46, 62];
  const single: [number, number][] = [[30, 14], [30, 46], [58, 30], [86, 62], [86, 14]];
  const pairs: [number, number, number][] = [[44, 30, 46], [72, 14, 30], [72, 46, 62], [100, 30, 46]];
  return {
    lines: [...wires.map((y) => line(10, y, 122, y)), ...pairs.map(([x, from, to]) => line(x, from, x, to))],
    marks: [
      ...single.map(([x, y]) => mark(x, y, "green", "square")),
      ...pairs.flatMap(([x, from, to]) => [mark(x, from, "blue"), mark(x, to, "blue", "square")]),
    ],
  };
}

const BUILDERS: Readonly<Record<string, () => Builder>> = {
  mps: () => chain([20], "circle", "blue", 30),
  mpo: () => chain([-19, 19], "square", "green", 38),
  peps: grid,
  ttn: tree,
  mera,
  ring,
  "spin-chain": sandwich,
  circuit,
};

export function templatePicture(name: string): Picture {
  const built = (BUILDERS[name] ?? (() => ({ lines: [], marks: [] })))();
  return { lines: built.lines.join(""), marks: built.marks };
}
