/** Where a pulled leg is dropped decides what it becomes. Pure: from source and target to commands. */

import type { DocumentJson } from "../protocol.ts";
import { attach, capLeg, connect, join, type Made, moveAnchor, pullLeg, pullTensor } from "./edits.ts";
import type { Hit } from "./hit.ts";
import type { DiagramPoint } from "./points.ts";

/** What is being dragged: a new leg out of a tensor, the end of a leg, or the dot of an index. */
export type Source =
  | { kind: "tensor"; id: string }
  | { kind: "leg"; index: string; open: boolean }
  | { kind: "dot"; index: string };

export interface Drop extends Made {
  /** What the gesture is called in the history and the hint line. */
  gesture: string;
}

/**
 * The commands of a drop, or null where it means nothing (a leg back on its own tensor).
 *
 * @param onto what lies under the pointer; null on the empty paper
 * @param at where the pointer is
 * @param adding whether a drop on the paper puts a new tensor there (Shift)
 */
export function resolveDrop(document: DocumentJson, source: Source, onto: Hit | null, at: DiagramPoint, adding: boolean): Drop | null {
  switch (source.kind) {
    case "tensor":
      return fromTensor(document, source.id, onto, at, adding);
    case "leg":
      return fromLeg(document, source.index, source.open, onto, at, adding);
    case "dot":
      if (onto && (onto.kind === "bond" || onto.kind === "dot")) return { gesture: "Join indices", ...join(document, onto.index, source.index, at, false) };
      return { gesture: "Move", ...moveAnchor(source.index, at) };
    default:
      return source satisfies never;
  }
}

function fromTensor(document: DocumentJson, id: string, onto: Hit | null, at: DiagramPoint, adding: boolean): Drop {
  if (onto === null) return adding ? { gesture: "Pull a tensor", ...pullTensor(document, id, at) } : { gesture: "Pull a leg", ...pullLeg(document, id, at) };
  if (onto.kind === "tensor") return { gesture: onto.id === id ? "Make a loop" : "Connect", ...connect(document, id, onto.id) };
  if (onto.kind === "end") return { gesture: "Connect", ...attach(document, id, onto.index, null, true) };
  return { gesture: "Share an index", ...attach(document, id, onto.index, at, false) };
}

function fromLeg(document: DocumentJson, index: string, open: boolean, onto: Hit | null, at: DiagramPoint, adding: boolean): Drop | null {
  if (onto === null) return adding ? { gesture: "Pull a tensor", ...capLeg(document, index, at) } : { gesture: "Move", ...moveAnchor(index, at) };
  if (onto.kind === "tensor") {
    const own = document.tensors.some((tensor) => tensor.id === onto.id && tensor.indices.includes(index));
    return own ? null : { gesture: "Connect", ...attach(document, onto.id, index, null, open) };
  }
  if (onto.index === index) return null;
  if (onto.kind === "end") return { gesture: "Join legs", ...join(document, onto.index, index, null, open) };
  return { gesture: "Share an index", ...join(document, onto.index, index, at, false) };
}
