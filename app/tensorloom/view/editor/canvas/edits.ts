/**
 * Gestures as commands: what each drag, drop or key means for the document. Pure.
 *
 * Every function gives the commands of one undo step, or throws `CommandError` with the reason why
 * the gesture makes no sense here. Coordinates are diagram pixels.
 */

import { own } from "../model/checks.ts";
import { CommandError } from "../model/reducer.ts";
import type { Command, DocumentJson, MarkColour, MarkShape, RecipeJson, TensorJson } from "../protocol.ts";
import { nextIndexName, nextSeed, nextTensorId, nextTensorName } from "./naming.ts";
import type { DiagramPoint } from "./points.ts";

/** Dimension of an index that a gesture makes; the popover opens on it. */
export const NEW_DIMENSION = 2;

const COLOURS: Record<MarkShape, MarkColour> = { circle: "blue", square: "green", "triangle-right": "blue", "triangle-left": "blue", dot: "blue", diamond: "amber", none: "blue" };

const whole = ({ x, y }: DiagramPoint): [number, number] => [Math.round(x), Math.round(y)];
const anchored = (name: string, at: DiagramPoint | null): Command[] => (at ? [{ kind: "move", positions: {}, anchors: { [name]: whole(at) } }] : []);
const without = (names: readonly string[], ...gone: string[]): string[] => names.filter((name) => !gone.includes(name));

/** How many legs carry the index; a trace counts twice. */
export function legsOf(document: DocumentJson, name: string): number {
  return document.tensors.reduce((sum, { indices }) => sum + indices.filter((other) => other === name).length, 0);
}

export function tensorOf(document: DocumentJson, id: string): TensorJson {
  const found = document.tensors.find((tensor) => tensor.id === id);
  if (!found) throw new CommandError("unknown-tensor", `There is no tensor with the id '${id}'.`);
  return found;
}

/** Values given number by number fit one shape only: such a tensor keeps its axes. */
export function growing(document: DocumentJson, id: string): TensorJson {
  const tensor = tensorOf(document, id);
  const fixed: RecipeJson["kind"][] = ["inline", "blob", "gate"];
  if (!fixed.includes(tensor.array.kind)) return tensor;
  throw new CommandError("fixed-axes", `${tensor.name} holds given values with ${tensor.indices.length} axes; give it random values before changing them.`);
}

function newRecipe(document: DocumentJson, shape: MarkShape): RecipeJson {
  if (shape === "dot") return { kind: "copy" };
  return { kind: "random", seed: nextSeed(document), distribution: "normal" };
}

function newTensor(document: DocumentJson, at: DiagramPoint, shape: MarkShape, indices: string[], dimensions: Record<string, number>, output: string[] | null): { id: string; command: Command } {
  const id = nextTensorId(document);
  const [x, y] = whole(at);
  const tensor: TensorJson = { id, name: nextTensorName(document), indices, array: newRecipe(document, shape) };
  return { id, command: { kind: "add-tensor", tensor, dimensions, mark: { x, y, shape, colour: COLOURS[shape] }, at: null, output } };
}

export interface Made {
  commands: Command[];
  /** What the user holds afterwards. */
  tensor?: string;
  index?: string;
}

export function addTensor(document: DocumentJson, at: DiagramPoint, shape: MarkShape = "circle"): Made {
  const { id, command } = newTensor(document, at, shape, [], {}, null);
  return { commands: [command], tensor: id };
}

/** A new open leg; without a place the editor lets it point outward. */
export function pullLeg(document: DocumentJson, id: string, at: DiagramPoint | null): Made {
  const tensor = growing(document, id);
  const index = nextIndexName(document);
  const output = [...document.output, index];
  return { commands: [{ kind: "set-indices", id, indices: [...tensor.indices, index], dimensions: { [index]: NEW_DIMENSION }, output }, ...anchored(index, at)], index };
}

/** A new tensor at the end of a new bond. */
export function pullTensor(document: DocumentJson, id: string, at: DiagramPoint, shape: MarkShape = "circle"): Made {
  const tensor = growing(document, id);
  const index = nextIndexName(document);
  const dimensions = { [index]: NEW_DIMENSION };
  const made = newTensor(document, at, shape, [index], dimensions, null);
  return { commands: [{ kind: "set-indices", id, indices: [...tensor.indices, index], dimensions, output: null }, made.command], tensor: made.id };
}

/** A new bond between two tensors, or a loop on one. */
export function connect(document: DocumentJson, one: string, other: string): Made {
  const index = nextIndexName(document);
  const dimensions = { [index]: NEW_DIMENSION };
  const first = growing(document, one);
  const set = (tensor: TensorJson, ...added: string[]): Command => ({ kind: "set-indices", id: tensor.id, indices: [...tensor.indices, ...added], dimensions, output: null });
  if (one === other) return { commands: [set(first, index, index)], index };
  return { commands: [set(first, index), set(growing(document, other), index)], index };
}

/**
 * One more leg of a tensor on an index that exists: an open leg becomes a bond, a bond a hyperindex.
 *
 * @param closing whether the leg takes the place of the free end, so that the index is open no more
 */
export function attach(document: DocumentJson, id: string, index: string, at: DiagramPoint | null, closing: boolean): Made {
  const tensor = growing(document, id);
  const output = closing ? without(document.output, index) : null;
  const move = legsOf(document, index) === 1 ? forgotten(document, index) : own(document.anchors, index) ? [] : anchored(index, at);
  return { commands: [{ kind: "set-indices", id, indices: [...tensor.indices, index], dimensions: {}, output }, ...move], index };
}

/**
 * Two indices become one: free end to free end (`closing`) joins two legs in a bond; a leg dropped
 * on a bond shares its index, which stays as open as it was.
 */
export function join(document: DocumentJson, keep: string, drop: string, at: DiagramPoint | null, closing: boolean): Made {
  const [kept, dropped] = [document.dimensions[keep], document.dimensions[drop]];
  if (kept !== dropped) throw new CommandError("dimension-mismatch", `Index '${keep}' has dimension ${kept}, but '${drop}' has ${dropped}. Make them equal first.`);
  const output = closing ? without(document.output, keep, drop) : without(document.output, drop);
  const bond = legsOf(document, keep) === 1 && legsOf(document, drop) === 1;
  const move = bond ? forgotten(document, keep) : own(document.anchors, keep) ? [] : anchored(keep, at);
  return { commands: [{ kind: "join-indices", keep, drop, output }, ...move], index: keep };
}

/** A new tensor on the free end of a leg. */
export function capLeg(document: DocumentJson, index: string, at: DiagramPoint, shape: MarkShape = "circle"): Made {
  const made = newTensor(document, at, shape, [index], {}, without(document.output, index));
  return { commands: [made.command, ...(legsOf(document, index) === 1 ? forgotten(document, index) : [])], tensor: made.id };
}

/** The free end of a leg, or the dot of an index, somewhere else. */
export function moveAnchor(index: string, at: DiagramPoint): Made {
  return { commands: anchored(index, at), index };
}

function forgotten(document: DocumentJson, index: string): Command[] {
  return own(document.anchors, index) ? [{ kind: "move", positions: {}, anchors: { [index]: null } }] : [];
}

/** A tensor put on a bond: the second leg of the bond gets a new index of the same dimension. */
export function insertOnBond(document: DocumentJson, index: string, at: DiagramPoint, shape: MarkShape): Made {
  const holders = document.tensors.filter((tensor) => tensor.indices.includes(index));
  const last = holders.at(-1);
  if (!last) throw new CommandError("unknown-index", `There is no index '${index}'.`);
  const fresh = nextIndexName(document);
  const dimensions = { [fresh]: document.dimensions[index] ?? NEW_DIMENSION };
  if (holders.length === 1 && last.indices.indexOf(index) === last.indices.lastIndexOf(index)) {
    const output = document.output.map((name) => (name === index ? fresh : name));
    const made = newTensor(document, at, shape, [index, fresh], dimensions, output);
    return { commands: [made.command, ...forgotten(document, index)], tensor: made.id };
  }
  const place = last.indices.lastIndexOf(index);
  const made = newTensor(document, at, shape, [index, fresh], dimensions, null);
  return { commands: [{ kind: "set-indices", id: last.id, indices: last.indices.with(place, fresh), dimensions, output: null }, made.command], tensor: made.id };
}

/** Open becomes summed and back. */
export function toggleOutput(document: DocumentJson, index: string): Made {
  const output = document.output.includes(index) ? without(document.output, index) : [...document.output, index];
  return { commands: [{ kind: "set-output", output }], index };
}
