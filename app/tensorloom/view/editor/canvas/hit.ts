/** What lies under a point of the diagram: a tensor's body or rim, a leg's end, a dot, a bond. */

import { nearest } from "./curves.ts";
import { zone } from "./outlines.ts";
import { type DiagramPoint, distance } from "./points.ts";
import type { Scene } from "./scene.ts";

export type Hit =
  | { kind: "tensor"; id: string; zone: "body" | "rim" }
  | { kind: "end"; index: string }
  | { kind: "dot"; index: string }
  | { kind: "bond"; index: string; at: DiagramPoint };

export interface Skip {
  tensor?: string | null;
  index?: string | null;
}

const END_REACH = 16;
const DOT_REACH = 14;
const BOND_REACH = 9;

/** The nearest thing under the point; `scale` widens the reach where the zoom is small. */
export function hitTest(scene: Scene, point: DiagramPoint, skip: Skip = {}, scale = 1): Hit | null {
  return tensorHit(scene, point, skip) ?? endHit(scene, point, skip, scale) ?? bondHit(scene, point, skip, scale);
}

function tensorHit(scene: Scene, point: DiagramPoint, skip: Skip): Hit | null {
  let best: { hit: Hit; away: number } | null = null;
  for (const tensor of scene.tensors) {
    if (tensor.id === skip.tensor || Math.abs(point.x - tensor.x) > 48 || Math.abs(point.y - tensor.y) > 48) continue;
    const found = zone(tensor.shape, point.x - tensor.x, point.y - tensor.y);
    const away = distance(point, tensor) + (found === "rim" ? 100 : 0);
    if (found && (!best || away < best.away)) best = { hit: { kind: "tensor", id: tensor.id, zone: found }, away };
  }
  return best?.hit ?? null;
}

function endHit(scene: Scene, point: DiagramPoint, skip: Skip, scale: number): Hit | null {
  let best: { hit: Hit; away: number } | null = null;
  for (const index of scene.indices) {
    if (index.name === skip.index) continue;
    const free = index.free ? distance(point, index.free) : Infinity;
    const dot = index.dot ? distance(point, index.dot) : Infinity;
    if (free < END_REACH * scale && free < (best?.away ?? Infinity)) best = { hit: { kind: "end", index: index.name }, away: free };
    if (dot < DOT_REACH * scale && dot < (best?.away ?? Infinity)) best = { hit: { kind: "dot", index: index.name }, away: dot };
  }
  return best?.hit ?? null;
}

function bondHit(scene: Scene, point: DiagramPoint, skip: Skip, scale: number): Hit | null {
  let best: { hit: Hit; away: number } | null = null;
  for (const index of scene.indices) {
    if (index.name === skip.index) continue;
    for (const { curve } of index.strands) {
      const away = nearest(curve, point).distance - index.width / 2;
      if (away < BOND_REACH * scale && away < (best?.away ?? Infinity)) best = { hit: { kind: "bond", index: index.name, at: point }, away };
    }
  }
  return best?.hit ?? null;
}
