/**
 * Copy, paste and duplicate: a piece of a document is a document, as text in the clipboard.
 *
 * Pasting gives fresh ids and index names; indices that led out of the piece arrive as open legs.
 */

import { checkedDocument } from "../model/link.ts";
import type { Command, DocumentJson, MarkJson } from "../protocol.ts";
import { freeIndexName, nextTensorId } from "./naming.ts";
import type { DiagramPoint } from "./points.ts";

/** The chosen tensors as a document of their own. */
export function fragmentOf(document: DocumentJson, ids: ReadonlySet<string>): DocumentJson {
  const tensors = document.tensors.filter((tensor) => ids.has(tensor.id));
  const names = new Set(tensors.flatMap((tensor) => tensor.indices));
  const outside = new Set(document.tensors.filter((tensor) => !ids.has(tensor.id)).flatMap((tensor) => tensor.indices));
  const open = [...names].filter((name) => document.output.includes(name) || outside.has(name));
  const chosen = <T>(record: Record<string, T>, keys: Iterable<string>): Record<string, T> =>
    Object.fromEntries([...keys].flatMap((key): [string, T][] => (Object.hasOwn(record, key) ? [[key, record[key] as T]] : [])));
  return {
    tensorloom: 1,
    title: document.title,
    dtype: document.dtype,
    tensors,
    dimensions: chosen(document.dimensions, names),
    output: open,
    marks: chosen(document.marks, ids),
    // An anchor between the piece and the rest would point to nowhere.
    anchors: chosen(document.anchors, [...names].filter((name) => !outside.has(name))),
  };
}

/** The text as a document, when it is one; null for any other text. */
export function fragmentFrom(text: string): DocumentJson | null {
  if (!text.trimStart().startsWith("{") || !text.includes('"tensorloom"')) return null;
  try {
    return checkedDocument(JSON.parse(text));
  } catch {
    return null;
  }
}

export interface Pasted {
  commands: Command[];
  tensors: string[];
}

/** Commands that put the piece into the document, moved by `shift`. */
export function pasted(document: DocumentJson, fragment: DocumentJson, shift: DiagramPoint): Pasted {
  const used = new Set(Object.keys(document.dimensions));
  const renamed = new Map<string, string>();
  for (const name of Object.keys(fragment.dimensions)) {
    const free = freeIndexName(name, used);
    used.add(free);
    renamed.set(name, free);
  }
  const now = (name: string): string => renamed.get(name) ?? name;
  const ids: string[] = [];
  const commands = fragment.tensors.map((tensor): Command => {
    const id = nextTensorId(document, ids);
    ids.push(id);
    const mark = fragment.marks[tensor.id] as MarkJson;
    const dimensions = Object.fromEntries(tensor.indices.map((name) => [now(name), fragment.dimensions[name] ?? 1]));
    return {
      kind: "add-tensor",
      tensor: { ...tensor, id, indices: tensor.indices.map(now) },
      dimensions,
      mark: { ...mark, x: Math.round(mark.x + shift.x), y: Math.round(mark.y + shift.y) },
      at: null,
      output: null,
    };
  });
  commands.push({ kind: "set-output", output: [...document.output, ...fragment.output.map(now)] });
  const anchors = Object.entries(fragment.anchors).map(([name, [x, y]]) => [now(name), [Math.round(x + shift.x), Math.round(y + shift.y)]]);
  if (anchors.length > 0) commands.push({ kind: "move", positions: {}, anchors: Object.fromEntries(anchors) });
  return { commands, tensors: ids };
}
