/** Moving tensors: free ends and dots that belong to them alone go along. Pure. */

import { own } from "../model/checks.ts";
import type { Command, DocumentJson } from "../protocol.ts";
import type { DiagramPoint } from "./points.ts";

/** The command that moves tensors to new centres, each anchor with its tensors. */
export function moved(document: DocumentJson, centres: ReadonlyMap<string, DiagramPoint>): Command {
  const shifts = new Map<string, DiagramPoint>();
  const positions: Record<string, [number, number]> = {};
  for (const [id, { x, y }] of centres) {
    const mark = document.marks[id];
    if (!mark) continue;
    positions[id] = [Math.round(x), Math.round(y)];
    shifts.set(id, { x: Math.round(x) - mark.x, y: Math.round(y) - mark.y });
  }
  const anchors = Object.entries(document.anchors).flatMap(([name, [x, y]]): [string, [number, number]][] => {
    const holders = document.tensors.filter((tensor) => tensor.indices.includes(name));
    const shift = holders[0] && shifts.get(holders[0].id);
    return shift && holders.every(({ id }) => shifts.has(id)) ? [[name, [x + shift.x, y + shift.y]]] : [];
  });
  // From entries: an assignment to the name `__proto__` would make no key.
  return { kind: "move", positions, anchors: Object.fromEntries(anchors) };
}

/** All chosen tensors and the anchors of chosen indices by the same step. */
export function stepped(document: DocumentJson, tensors: ReadonlySet<string>, indices: ReadonlySet<string>, step: DiagramPoint): Command {
  const centres = new Map([...tensors].flatMap((id): [string, DiagramPoint][] => {
    const mark = document.marks[id];
    return mark ? [[id, { x: mark.x + step.x, y: mark.y + step.y }]] : [];
  }));
  const command = moved(document, centres);
  if (command.kind !== "move") return command;
  const others = [...indices].flatMap((name): [string, [number, number]][] => {
    const at = own(document.anchors, name);
    return at && !own(command.anchors, name) ? [[name, [at[0] + step.x, at[1] + step.y]]] : [];
  });
  return { ...command, anchors: { ...command.anchors, ...Object.fromEntries(others) } };
}
