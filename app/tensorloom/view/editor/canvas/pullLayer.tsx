/** What a gesture would make, at less than half strength, and the lines of alignment. */

import { svgPath, straight } from "./curves.ts";
import { outlinePath } from "./outlines.ts";
import { add, angleOf, type DiagramPoint, minus, polar } from "./points.ts";
import { reach } from "./outlines.ts";
import type { Scene } from "./scene.ts";
import type { Pull } from "./pulls.ts";
import type { Snap } from "./snapping.ts";

export function PullLayer({ scene, pull, snap }: { scene: Scene; pull: Pull | null; snap: Snap | null }) {
  return (
    <svg className="tl-pull" width="1" height="1" aria-hidden="true">
      {snap && snap.column !== null && <line className="tl-align" x1={snap.column} x2={snap.column} y1={-1e5} y2={1e5} />}
      {snap && snap.row !== null && <line className="tl-align" x1={-1e5} x2={1e5} y1={snap.row} y2={snap.row} />}
      {pull && <Preview scene={scene} pull={pull} />}
    </svg>
  );
}

function Preview({ scene, pull }: { scene: Scene; pull: Pull }) {
  const end = targetPoint(scene, pull) ?? pull.at;
  const origin = pull.source.kind === "tensor" ? scene.byId.get(pull.source.id) : null;
  const target = pull.onto?.kind === "tensor" ? scene.byId.get(pull.onto.id) : null;
  const from = origin ? add(origin, polar(angleOf(minus(end, origin)), reach(origin.shape, angleOf(minus(end, origin))))) : null;
  const loop = origin && target === origin;
  return (
    <>
      {from && !loop && <path className="tl-preview" d={svgPath(straight(from, end))} />}
      {loop && <path className="tl-preview" d={`M${origin.x},${origin.y - 25}c-60,-62 60,-62 0,0`} />}
      {target && <path className="tl-preview-target" transform={`translate(${target.x},${target.y})`} d={outlinePath(target.shape)} />}
      {pull.onto && pull.onto.kind !== "tensor" && <circle className="tl-preview-join" cx={end.x} cy={end.y} r={pull.onto.kind === "bond" ? 5 : 9} />}
      {!pull.onto && pull.adding && <path className="tl-preview" transform={`translate(${pull.at.x},${pull.at.y})`} d={outlinePath("circle")} />}
      {!pull.onto && !pull.adding && from && <circle className="tl-preview-end" cx={end.x} cy={end.y} r={3} />}
    </>
  );
}

function targetPoint(scene: Scene, pull: Pull): DiagramPoint | null {
  const { onto } = pull;
  if (!onto) return null;
  if (onto.kind === "tensor") {
    const target = scene.byId.get(onto.id);
    const origin = pull.source.kind === "tensor" ? scene.byId.get(pull.source.id) : null;
    if (!target || !origin || target === origin) return target ?? null;
    const angle = angleOf(minus(origin, target));
    return add(target, polar(angle, reach(target.shape, angle)));
  }
  const index = scene.byName.get(onto.index);
  if (onto.kind === "end") return index?.free ?? null;
  if (onto.kind === "dot") return index?.dot ?? null;
  return onto.at;
}
