/**
 * The page's reducer: `apply(document, command)` and `invert`, twins of `model/commands.py`.
 *
 * Bookkeeping only, with the same refusals by the same codes; Python validates the rest. Documents
 * are never changed in place. `tests/golden/commands` holds vectors that both reducers pass.
 */

import type { Command, DocumentJson, MarkJson, TensorJson } from "../protocol.ts";

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

type Dimensions = Record<string, number>;

export function apply(document: DocumentJson, command: Command): DocumentJson {
  switch (command.kind) {
    case "add-tensor":
      return addTensor(document, command);
    case "remove-tensor":
      return removeTensor(document, command.id);
    case "rename-tensor":
      return withTensor(document, { ...tensorOf(document, command.id), name: named(command.name) });
    case "set-array":
      return withTensor(document, { ...tensorOf(document, command.id), array: command.array });
    case "set-indices":
      return setIndices(document, command);
    case "rename-index":
      return renameIndex(document, command.name, command.to);
    case "join-indices":
      return joinIndices(document, command);
    case "set-dimension":
      dimensionOf(document, command.name);
      return { ...document, dimensions: { ...document.dimensions, [command.name]: sized(command.dimension) } };
    case "set-output":
      return { ...document, output: checkedOutput(command.output, document.tensors) };
    case "move":
      return move(document, command);
    case "set-mark":
      return withMark(document, command.id, { shape: command.shape, colour: command.colour });
    case "set-title":
      return { ...document, title: command.title };
    case "set-dtype":
      return { ...document, dtype: command.dtype };
    case "replace-document":
      return command.document;
    default:
      throw new CommandError("unknown-command", `There is no command ${String((command satisfies never as Command).kind)}.`);
  }
}

export function applyAll(document: DocumentJson, commands: readonly Command[]): DocumentJson {
  return commands.reduce(apply, document);
}

/** Commands that lead from `apply(document, command)` back to `document`. */
export function invert(document: DocumentJson, command: Command): Command[] {
  switch (command.kind) {
    case "add-tensor":
      return [{ kind: "remove-tensor", id: command.tensor.id }, { kind: "set-output", output: document.output }];
    case "remove-tensor": {
      const gone = tensorOf(document, command.id);
      const mark = document.marks[gone.id];
      if (!mark) throw new CommandError("unknown-tensor", `There is no mark of ${gone.id}.`);
      const at = document.tensors.indexOf(gone);
      return [
        { kind: "add-tensor", tensor: gone, mark, dimensions: some(document.dimensions, gone.indices), at, output: document.output },
        ...anchorsBack(document, gone.indices),
      ];
    }
    case "rename-tensor":
      return [{ kind: "rename-tensor", id: command.id, name: tensorOf(document, command.id).name }];
    case "set-array":
      return [{ kind: "set-array", id: command.id, array: tensorOf(document, command.id).array }];
    case "set-indices": {
      const old = tensorOf(document, command.id);
      return [
        { kind: "set-indices", id: old.id, indices: old.indices, dimensions: some(document.dimensions, old.indices), output: document.output },
        ...anchorsBack(document, old.indices),
      ];
    }
    case "rename-index":
      return [{ kind: "rename-index", name: command.to, to: command.name }];
    case "join-indices": {
      const dimensions = some(document.dimensions, [command.drop]);
      const touched = document.tensors.filter((tensor) => tensor.indices.includes(command.drop));
      return [
        ...touched.map((tensor): Command => ({ kind: "set-indices", id: tensor.id, indices: tensor.indices, dimensions, output: null })),
        { kind: "set-output", output: document.output },
        ...anchorsBack(document, [command.drop]),
      ];
    }
    case "set-dimension":
      return [{ kind: "set-dimension", name: command.name, dimension: dimensionOf(document, command.name) }];
    case "set-output":
      return [{ kind: "set-output", output: document.output }];
    case "move": {
      const place = (id: string): [number, number] => [document.marks[id]?.x ?? 0, document.marks[id]?.y ?? 0];
      return [
        {
          kind: "move",
          positions: Object.fromEntries(Object.keys(command.positions).map((id) => [id, place(id)])),
          anchors: Object.fromEntries(Object.keys(command.anchors).map((name) => [name, document.anchors[name] ?? null])),
        },
      ];
    }
    case "set-mark": {
      const mark = document.marks[tensorOf(document, command.id).id];
      return [{ kind: "set-mark", id: command.id, shape: mark?.shape ?? "circle", colour: mark?.colour ?? "blue" }];
    }
    case "set-title":
      return [{ kind: "set-title", title: document.title }];
    case "set-dtype":
      return [{ kind: "set-dtype", dtype: document.dtype }];
    case "replace-document":
      return [{ kind: "replace-document", document }];
    default:
      throw new CommandError("unknown-command", `There is no command ${String((command satisfies never as Command).kind)}.`);
  }
}

/** The inverse of several commands applied in order. */
export function invertAll(document: DocumentJson, commands: readonly Command[]): Command[] {
  const back: Command[][] = [];
  let now = document;
  for (const command of commands) {
    back.unshift(invert(now, command));
    now = apply(now, command);
  }
  return back.flat();
}

const MAX_DIMENSION = 2 ** 31 - 1;

function sized(dimension: number): number {
  if (Number.isInteger(dimension) && dimension >= 1 && dimension <= MAX_DIMENSION) return dimension;
  throw new CommandError("bad-dimension", `An index cannot have dimension ${dimension}.`);
}

function named(name: string): string {
  const bad = name.length === 0 || [...name].length > 64 || /[\s,>\p{C}\p{Z}]/u.test(name);
  if (bad) throw new CommandError("bad-name", `'${name.slice(0, 80)}' cannot be a name.`);
  return name;
}

function tensorOf(document: DocumentJson, id: string): TensorJson {
  const found = document.tensors.find((tensor) => tensor.id === id);
  if (!found) throw new CommandError("unknown-tensor", `There is no tensor with the id '${id}'.`);
  return found;
}

function dimensionOf(document: DocumentJson, name: string): number {
  const found = Object.hasOwn(document.dimensions, name) ? document.dimensions[name] : undefined;
  if (found === undefined) throw new CommandError("unknown-index", `There is no index '${name}'.`);
  return found;
}

function some(dimensions: Dimensions, names: readonly string[]): Dimensions {
  return Object.fromEntries([...new Set(names)].map((name) => [name, dimensions[name] ?? 1]));
}

function anchorsBack(document: DocumentJson, names: readonly string[]): Command[] {
  const lost = [...new Set(names)].flatMap((name): [string, [number, number]][] => {
    const at = document.anchors[name];
    return at ? [[name, at]] : [];
  });
  return lost.length > 0 ? [{ kind: "move", positions: {}, anchors: Object.fromEntries(lost) }] : [];
}

function withTensor(document: DocumentJson, changed: TensorJson): DocumentJson {
  return { ...document, tensors: document.tensors.map((tensor) => (tensor.id === changed.id ? changed : tensor)) };
}

function withMark(document: DocumentJson, id: string, change: Partial<MarkJson>): DocumentJson {
  const mark = document.marks[tensorOf(document, id).id];
  if (!mark) throw new CommandError("unknown-tensor", `There is no mark of '${id}'.`);
  return { ...document, marks: { ...document.marks, [id]: { ...mark, ...change } } };
}

/** Puts indices in order of first appearance and drops those that no tensor carries any more. */
function rebuilt(document: DocumentJson, tensors: TensorJson[], sizes: Dimensions, output: readonly string[]): DocumentJson {
  const order = new Set(tensors.flatMap((tensor) => tensor.indices));
  const dimensions = Object.fromEntries([...order].map((name) => [name, sizes[name] ?? 1]));
  const anchors = Object.fromEntries(Object.entries(document.anchors).filter(([name]) => order.has(name)));
  return { ...document, tensors, dimensions, output: output.filter((name) => order.has(name)), anchors };
}

function allSizes(document: DocumentJson, given: Dimensions, used: readonly string[]): Dimensions {
  const sizes: Dimensions = { ...document.dimensions };
  for (const [name, size] of Object.entries(given)) {
    const known = Object.hasOwn(sizes, name) ? sizes[name] : undefined;
    if (known === undefined) sizes[named(name)] = sized(size);
    else if (known !== size) throw new CommandError("dimension-mismatch", `Index '${name}' has dimension ${known}, not ${size}.`);
  }
  for (const name of used) {
    if (!Object.hasOwn(sizes, name)) throw new CommandError("unknown-index", `Index '${name}' has no dimension.`);
  }
  return sizes;
}

function checkedOutput(output: readonly string[], tensors: readonly TensorJson[]): string[] {
  const used = new Set(tensors.flatMap((tensor) => tensor.indices));
  output.forEach((name, place) => {
    if (!used.has(name)) throw new CommandError("loose-output", `Output index '${name}' is on no tensor.`);
    if (output.indexOf(name) !== place) throw new CommandError("duplicate-output", `Index '${name}' appears twice in the output.`);
  });
  return [...output];
}

function addTensor(document: DocumentJson, command: Extract<Command, { kind: "add-tensor" }>): DocumentJson {
  const { tensor, mark } = command;
  if (Object.hasOwn(document.marks, tensor.id)) throw new CommandError("duplicate-tensor", `Two tensors have the id '${tensor.id}'.`);
  const place = command.at ?? document.tensors.length;
  if (place < 0 || place > document.tensors.length) throw new CommandError("bad-place", `Operand position ${place} does not exist.`);
  const tensors = document.tensors.toSpliced(place, 0, tensor);
  const sizes = allSizes(document, command.dimensions, tensor.indices);
  const output = command.output ? checkedOutput(command.output, tensors) : document.output;
  return { ...rebuilt(document, tensors, sizes, output), marks: { ...document.marks, [tensor.id]: mark } };
}

function removeTensor(document: DocumentJson, id: string): DocumentJson {
  const gone = tensorOf(document, id);
  const { [id]: _mark, ...marks } = document.marks;
  const tensors = document.tensors.filter((tensor) => tensor !== gone);
  return { ...rebuilt(document, tensors, document.dimensions, document.output), marks };
}

function setIndices(document: DocumentJson, command: Extract<Command, { kind: "set-indices" }>): DocumentJson {
  const changed = { ...tensorOf(document, command.id), indices: command.indices };
  const sizes = allSizes(document, command.dimensions, command.indices);
  const { tensors } = withTensor(document, changed);
  const output = command.output ? checkedOutput(command.output, tensors) : document.output;
  return rebuilt(document, tensors, sizes, output);
}

function relabelled(tensors: readonly TensorJson[], old: string, now: string): TensorJson[] {
  return tensors.map((tensor) =>
    tensor.indices.includes(old) ? { ...tensor, indices: tensor.indices.map((name) => (name === old ? now : name)) } : tensor,
  );
}

function renameIndex(document: DocumentJson, name: string, to: string): DocumentJson {
  const size = dimensionOf(document, name);
  if (to === name) return document;
  if (Object.hasOwn(document.dimensions, to)) throw new CommandError("index-in-use", `Index '${to}' exists already.`);
  const sizes = { ...document.dimensions, [named(to)]: size };
  const swap = (other: string) => (other === name ? to : other);
  const anchors = Object.fromEntries(Object.entries(document.anchors).map(([other, at]) => [swap(other), at]));
  return rebuilt({ ...document, anchors }, relabelled(document.tensors, name, to), sizes, document.output.map(swap));
}

function joinIndices(document: DocumentJson, command: Extract<Command, { kind: "join-indices" }>): DocumentJson {
  const { keep, drop } = command;
  const [kept, dropped] = [dimensionOf(document, keep), dimensionOf(document, drop)];
  if (keep === drop) throw new CommandError("same-index", `Index '${keep}' cannot be joined with itself.`);
  if (kept !== dropped) throw new CommandError("dimension-mismatch", `Index '${keep}' has dimension ${kept}, but '${drop}' has ${dropped}.`);
  const tensors = relabelled(document.tensors, drop, keep);
  const output = command.output ? checkedOutput(command.output, tensors) : document.output.filter((name) => name !== keep && name !== drop);
  return rebuilt(document, tensors, document.dimensions, output);
}

function move(document: DocumentJson, command: Extract<Command, { kind: "move" }>): DocumentJson {
  const marks = { ...document.marks };
  for (const [id, [x, y]] of Object.entries(command.positions)) {
    const mark = Object.hasOwn(marks, id) ? marks[id] : undefined;
    if (!mark) throw new CommandError("unknown-tensor", `There is no tensor with the id '${id}'.`);
    marks[id] = { ...mark, x, y };
  }
  const anchors = { ...document.anchors };
  for (const [name, at] of Object.entries(command.anchors)) {
    dimensionOf(document, name);
    if (at) anchors[name] = at;
    else delete anchors[name];
  }
  return { ...document, marks, anchors };
}
