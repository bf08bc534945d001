/** Connecting by keyboard: each thing that can be connected to gets a short code to type. Pure. */

import type { Source } from "./drops.ts";
import type { Hit } from "./hit.ts";
import { pointAt } from "./curves.ts";
import { mainStrand } from "./labels.ts";
import { type Box, type DiagramPoint, distance } from "./points.ts";
import type { Scene } from "./scene.ts";

export interface Target {
  readonly code: string;
  readonly hit: Hit;
  readonly at: DiagramPoint;
}

const MOST_TARGETS = 400;
const LETTERS = "asdfghjklqwertyuiopzxcvbnm";

/** `count` codes, all of the same length, so that none begins another. */
export function codes(count: number): string[] {
  let made = [""];
  do made = made.flatMap((start) => [...LETTERS].map((letter) => start + letter));
  while (made.length < count);
  return made.slice(0, count);
}

/** Tensors, free ends and bonds in view, nearest first and the source itself last (that is a loop). */
export function targetsOf(scene: Scene, source: Source, from: DiagramPoint, view: Box): Target[] {
  const own = source.kind === "tensor" ? null : source.index;
  const seen = ({ x, y }: DiagramPoint) => x > view.left && x < view.right && y > view.top && y < view.bottom;
  const found: { hit: Hit; at: DiagramPoint }[] = [];
  for (const tensor of scene.tensors) {
    const already = own !== null && tensor.indices.includes(own);
    if (!already) found.push({ hit: { kind: "tensor", id: tensor.id, zone: "body" }, at: tensor });
  }
  for (const index of scene.indices) {
    if (index.name === own) continue;
    if (index.free) found.push({ hit: { kind: "end", index: index.name }, at: index.free });
    if (index.dot) found.push({ hit: { kind: "dot", index: index.name }, at: index.dot });
    const line = index.kind === "bond" || index.kind === "loop" ? mainStrand(index) : null;
    if (line) found.push({ hit: { kind: "bond", index: index.name, at: pointAt(line, 0.5) }, at: pointAt(line, 0.5) });
  }
  const away = ({ hit, at }: { hit: Hit; at: DiagramPoint }) => (source.kind === "tensor" && hit.kind === "tensor" && hit.id === source.id ? Infinity : distance(at, from));
  const near = found.filter(({ at }) => seen(at)).sort((one, other) => away(one) - away(other)).slice(0, MOST_TARGETS);
  const names = codes(near.length);
  return near.map(({ hit, at }, place) => ({ hit, at, code: names[place] ?? "" }));
}
