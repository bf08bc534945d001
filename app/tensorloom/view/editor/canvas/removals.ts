/**
 * Deleting: what was shared with a deleted tensor becomes open; a deleted bond is cut in two open
 * legs; a deleted open leg leaves its tensor. Pure.
 */

import { applyAll } from "../model/reducer.ts";
import type { Command, DocumentJson } from "../protocol.ts";
import { curveLength } from "./curves.ts";
import { growing, legsOf } from "./edits.ts";
import { nextIndexName } from "./naming.ts";
import { add, type DiagramPoint, minus, times, unit } from "./points.ts";
import { type DrawnIndex, LEG_LENGTH, type Scene } from "./scene.ts";

/** Commands that delete the tensors, then the indices among the given ones that are still there. */
export function removal(document: DocumentJson, scene: Scene, tensors: ReadonlySet<string>, indices: ReadonlySet<string>): Command[] {
  const commands = removeTensors(document, tensors);
  let now = applyAll(document, commands);
  for (const name of indices) {
    const drawn = scene.byName.get(name);
    if (!drawn || drawn.tensors.some((id) => tensors.has(id)) || !Object.hasOwn(now.dimensions, name)) continue;
    const more = legsOf(now, name) > 1 ? cut(now, drawn, scene) : removeLeg(now, name);
    commands.push(...more);
    now = applyAll(now, more);
  }
  return commands;
}

function removeTensors(document: DocumentJson, ids: ReadonlySet<string>): Command[] {
  if (ids.size === 0) return [];
  const commands: Command[] = document.tensors.filter(({ id }) => ids.has(id)).map(({ id }) => ({ kind: "remove-tensor", id }));
  const touched = new Set(document.tensors.filter(({ id }) => ids.has(id)).flatMap((tensor) => tensor.indices));
  const left = applyAll(document, commands);
  const opened = Object.keys(left.dimensions).filter((name) => touched.has(name) && legsOf(left, name) === 1 && !left.output.includes(name));
  return opened.length > 0 ? [...commands, { kind: "set-output", output: [...left.output, ...opened] }] : commands;
}

/** A leg with one end leaves its tensor. */
function removeLeg(document: DocumentJson, name: string): Command[] {
  const holder = document.tensors.find((other) => other.indices.includes(name));
  if (!holder) return [];
  const tensor = growing(document, holder.id);
  return [{ kind: "set-indices", id: tensor.id, indices: tensor.indices.filter((other) => other !== name), dimensions: {}, output: null }];
}

/** Every leg gets an index of its own, all of them open; the first keeps the name. */
function cut(document: DocumentJson, drawn: DrawnIndex, scene: Scene): Command[] {
  const { name, dimension } = drawn;
  const fresh: string[] = [];
  const sets: Command[] = [];
  let first = true;
  for (const tensor of document.tensors) {
    if (!tensor.indices.includes(name)) continue;
    const indices = tensor.indices.map((other) => {
      if (other !== name) return other;
      if (first) {
        first = false;
        return name;
      }
      const made = nextIndexName(document, fresh);
      fresh.push(made);
      return made;
    });
    const dimensions = Object.fromEntries(indices.filter((other) => fresh.includes(other)).map((other) => [other, dimension]));
    sets.push({ kind: "set-indices", id: tensor.id, indices, dimensions, output: null });
  }
  const output = [...new Set([...document.output, name, ...fresh])];
  const anchors = stumps(drawn, scene, [name, ...fresh]);
  return [...sets, { kind: "set-output", output }, { kind: "move", positions: {}, anchors }];
}

/** Cut ends stay in the direction of the bond they came from, and apart from each other. */
function stumps(drawn: DrawnIndex, scene: Scene, names: readonly string[]): Record<string, [number, number] | null> {
  const ends: { tensor: string; at: DiagramPoint; size: number }[] = [];
  for (const { curve, tensors } of drawn.strands) {
    const size = Math.max(8, Math.min(LEG_LENGTH / 2, curveLength(curve) / 2 - 8));
    if (tensors[0] !== null) ends.push({ tensor: tensors[0], at: curve.from, size });
    if (tensors[1] !== null) ends.push({ tensor: tensors[1], at: curve.to, size });
  }
  const places = scene.tensors.flatMap((tensor) => ends.filter((end) => end.tensor === tensor.id).map(({ at, size }) => ({ tensor, at, size })));
  return Object.fromEntries(
    names.map((name, order) => {
      const place = places[order];
      if (!place) return [name, null];
      const end = add(place.at, times(unit(minus(place.at, place.tensor)), place.size));
      return [name, [Math.round(end.x), Math.round(end.y)]];
    }),
  );
}
