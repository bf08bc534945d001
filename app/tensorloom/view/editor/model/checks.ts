/**
 * The rules a command must keep, with the codes that Python gives: twins of `check_name`, `Index`,
 * `Mark`, `check_title` and `check_dtype` in `tensorloom/model`. Recipes and whole documents are
 * left to Python.
 */

import type { DocumentJson, DType, MarkColour, MarkJson, MarkShape, TensorJson } from "../protocol.ts";

/** A refused edit; `code` is the one that Python gives. */
export class CommandError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "CommandError";
  }
}

export const MAX_DIMENSION = 2 ** 31 - 1;
const MAX_NAME_LENGTH = 64;
const MAX_TITLE_LENGTH = 200;
const MAX_COORDINATE = 1_000_000;
const MAX_TENSORS = 20_000;
const MAX_LEGS = 100_000;
const MAX_AXES = 64;

// As records, so that the compiler misses none.
const SHAPES: Record<MarkShape, true> = { circle: true, square: true, "triangle-right": true, "triangle-left": true, dot: true, diamond: true, none: true };
const COLOURS: Record<MarkColour, true> = { blue: true, amber: true, rose: true, green: true };
const DTYPES: Record<DType, true> = { float32: true, float64: true, complex64: true, complex128: true };

/** The value of a record's own key: names such as `constructor` are only names. */
export function own<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

export function sized(dimension: number): number {
  if (Number.isInteger(dimension) && dimension >= 1 && dimension <= MAX_DIMENSION) return dimension;
  throw new CommandError("bad-dimension", `An index cannot have dimension ${dimension}.`);
}

export function named(name: string): string {
  const bad = name.length === 0 || [...name].length > MAX_NAME_LENGTH || /[\s,>\p{C}\p{Z}]/u.test(name);
  if (bad) throw new CommandError("bad-name", `'${name.slice(0, 80)}' cannot be a name.`);
  return name;
}

export function checkTensor(tensor: TensorJson): void {
  named(tensor.id);
  named(tensor.name);
  tensor.indices.forEach(named);
}

export function checkPosition(x: number, y: number): void {
  if (!Number.isInteger(x) || !Number.isInteger(y)) throw new CommandError("bad-field", `The position (${x}, ${y}) is not whole.`);
  if (Math.max(Math.abs(x), Math.abs(y)) > MAX_COORDINATE) throw new CommandError("bad-position", `The position (${x}, ${y}) is too far away.`);
}

export function checkLook(mark: Pick<MarkJson, "shape" | "colour">): void {
  if (Object.hasOwn(SHAPES, mark.shape) && Object.hasOwn(COLOURS, mark.colour)) return;
  throw new CommandError("bad-mark", `A mark cannot look like '${mark.shape} ${mark.colour}'.`);
}

export function titled(title: string): string {
  const bad = [...title].length > MAX_TITLE_LENGTH || /[\p{C}\p{Z}]/u.test(title.replaceAll(" ", ""));
  if (bad) throw new CommandError("bad-title", `'${title.slice(0, 40)}' cannot be a title.`);
  return title;
}

export function typed(dtype: DType): DType {
  if (!Object.hasOwn(DTYPES, dtype)) throw new CommandError("bad-dtype", `'${String(dtype)}' is not a number type.`);
  return dtype;
}

export function checkSize(document: DocumentJson): DocumentJson {
  const { tensors } = document;
  let [legs, axes] = [0, 0];
  for (const { indices } of tensors) {
    legs += indices.length;
    axes = Math.max(axes, indices.length);
  }
  if (tensors.length > MAX_TENSORS || legs > MAX_LEGS || axes > MAX_AXES) {
    throw new CommandError("too-big", `The network has ${tensors.length} tensors, ${legs} legs and up to ${axes} axes on one tensor.`);
  }
  return document;
}

export function checkOutput(output: readonly string[], tensors: readonly TensorJson[]): string[] {
  const used = new Set(tensors.flatMap((tensor) => tensor.indices));
  const seen = new Set<string>();
  for (const name of output) {
    if (!used.has(name)) throw new CommandError("loose-output", `Output index '${name}' is on no tensor.`);
    if (seen.has(name)) throw new CommandError("duplicate-output", `Index '${name}' appears twice in the output.`);
    seen.add(name);
  }
  return [...output];
}
