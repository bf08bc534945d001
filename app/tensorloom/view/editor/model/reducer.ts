/**
 * The page's reducer: `apply(document, command)` and `invert`, twins of `model/commands.py` and `model/inverse.py`.
 *
 * Bookkeeping only, with the same refusals by the same codes; Python validates the rest. Documents
 * are never changed in place. `tests/golden/commands` holds vectors that both reducers pass.
 */

import type { Command, DocumentJson, MarkJson, TensorJson } from "../protocol.ts";
import { checkLook, checkOutput, checkPosition, checkSize, checkTensor, CommandError, named, own, sized, titled, typed } from "./checks.ts";

export { CommandError };

type Dimensions = Record<string, number>;
type Sizes = ReadonlyMap<string, number>;

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
      return { ...document, output: checkOutput(command.output, document.tensors) };
    case "move":
      return move(document, command);
    case "set-mark":
      checkLook(command);
      return withMark(document, command.id, { shape: command.shape, colour: command.colour });
    case "set-title":
      return { ...document, title: titled(command.title) };
    case "set-dtype":
      return { ...document, dtype: typed(command.dtype) };
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
          anchors: Object.fromEntries(Object.keys(command.anchors).map((name) => [name, own(document.anchors, name) ?? null])),
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

function tensorOf(document: DocumentJson, id: string): TensorJson {
  const found = document.tensors.find((tensor) => tensor.id === id);
  if (!found) throw new CommandError("unknown-tensor", `There is no tensor with the id '${id}'.`);
  return found;
}

function dimensionOf(document: DocumentJson, name: string): number {
  const found = own(document.dimensions, name);
  if (found === undefined) throw new CommandError("unknown-index", `There is no index '${name}'.`);
  return found;
}

function some(dimensions: Dimensions, names: readonly string[]): Dimensions {
  return Object.fromEntries([...new Set(names)].map((name) => [name, dimensions[name] ?? 1]));
}

function anchorsBack(document: DocumentJson, names: readonly string[]): Command[] {
  const lost = [...new Set(names)].flatMap((name): [string, [number, number]][] => {
    const at = own(document.anchors, name);
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
function rebuilt(document: DocumentJson, tensors: TensorJson[], sizes: Sizes, output: readonly string[]): DocumentJson {
  const order = new Set(tensors.flatMap((tensor) => tensor.indices));
  const dimensions = Object.fromEntries([...order].map((name) => [name, sizes.get(name) ?? 1]));
  const anchors = Object.fromEntries(Object.entries(document.anchors).filter(([name]) => order.has(name)));
  return checkSize({ ...document, tensors, dimensions, output: output.filter((name) => order.has(name)), anchors });
}

function sizesOf(document: DocumentJson): Map<string, number> {
  return new Map(Object.entries(document.dimensions));
}

/** Dimensions of the old indices and of the new ones, which must not contradict each other. */
function allSizes(document: DocumentJson, given: Dimensions, used: readonly string[]): Sizes {
  const sizes = sizesOf(document);
  for (const [name, size] of Object.entries(given)) {
    const known = sizes.get(named(name)) ?? size;
    sizes.set(name, sized(size));
    if (known !== size) throw new CommandError("dimension-mismatch", `Index '${name}' has dimension ${known}, not ${size}.`);
  }
  for (const name of used) {
    if (!sizes.has(name)) throw new CommandError("unknown-index", `Index '${name}' has no dimension.`);
  }
  return sizes;
}

function addTensor(document: DocumentJson, command: Extract<Command, { kind: "add-tensor" }>): DocumentJson {
  const { tensor, mark } = command;
  checkTensor(tensor);
  checkPosition(mark.x, mark.y);
  checkLook(mark);
  if (Object.hasOwn(document.marks, tensor.id)) throw new CommandError("duplicate-tensor", `Two tensors have the id '${tensor.id}'.`);
  const place = command.at ?? document.tensors.length;
  if (place < 0 || place > document.tensors.length) throw new CommandError("bad-place", `Operand position ${place} does not exist.`);
  const tensors = document.tensors.toSpliced(place, 0, tensor);
  const sizes = allSizes(document, command.dimensions, tensor.indices);
  const output = command.output ? checkOutput(command.output, tensors) : document.output;
  const marks = { ...document.marks, [tensor.id]: mark };
  return { ...rebuilt(document, tensors, sizes, output), marks };
}

function removeTensor(document: DocumentJson, id: string): DocumentJson {
  const gone = tensorOf(document, id);
  const { [id]: _mark, ...marks } = document.marks;
  const tensors = document.tensors.filter((tensor) => tensor !== gone);
  return { ...rebuilt(document, tensors, sizesOf(document), document.output), marks };
}

function setIndices(document: DocumentJson, command: Extract<Command, { kind: "set-indices" }>): DocumentJson {
  const changed = { ...tensorOf(document, command.id), indices: command.indices };
  command.indices.forEach(named);
  const sizes = allSizes(document, command.dimensions, command.indices);
  const { tensors } = withTensor(document, changed);
  const output = command.output ? checkOutput(command.output, tensors) : document.output;
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
  const sizes = sizesOf(document).set(named(to), size);
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
  const output = command.output ? checkOutput(command.output, tensors) : document.output.filter((name) => name !== keep && name !== drop);
  return rebuilt(document, tensors, sizesOf(document), output);
}

function move(document: DocumentJson, command: Extract<Command, { kind: "move" }>): DocumentJson {
  const positions = Object.entries(command.positions);
  const places = Object.entries(command.anchors);
  for (const [, [x, y]] of positions) checkPosition(x, y);
  for (const [, at] of places) if (at) checkPosition(...at);
  const marks = new Map(Object.entries(document.marks));
  for (const [id, [x, y]] of positions) {
    const mark = marks.get(id);
    if (!mark) throw new CommandError("unknown-tensor", `There is no tensor with the id '${id}'.`);
    marks.set(id, { ...mark, x, y });
  }
  const anchors = new Map(Object.entries(document.anchors));
  for (const [name, at] of places) {
    dimensionOf(document, name);
    if (at) anchors.set(name, at);
    else anchors.delete(name);
  }
  return { ...document, marks: Object.fromEntries(marks), anchors: Object.fromEntries(anchors) };
}
