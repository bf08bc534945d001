/**
 * What an index is in this network: its ends, and the word for it. Pure.
 */

import type { DocumentJson, TensorJson } from "../protocol.ts";

export interface Leg {
  tensor: TensorJson;
  /** Position in the tensor's index tuple, from 0. */
  axis: number;
}

export function legsOf(document: Pick<DocumentJson, "tensors">, name: string): Leg[] {
  return document.tensors.flatMap((tensor) => tensor.indices.flatMap((index, axis) => (index === name ? [{ tensor, axis }] : [])));
}

/** The field's word for the index, by how many ends it has and whether it is open. */
export function indexWord(legs: readonly Leg[], isOpen: boolean): string {
  const tensors = new Set(legs.map((leg) => leg.tensor.id)).size;
  if (legs.length > 2 || (legs.length === 2 && isOpen)) return "hyperindex";
  if (legs.length === 2) return tensors === 1 ? "trace" : "bond";
  return isOpen ? "open" : "summed alone";
}

/** The output with the index put last, or taken out. */
export function withOpen(output: readonly string[], name: string, isOpen: boolean): string[] {
  const others = output.filter((index) => index !== name);
  return isOpen ? [...others, name] : others;
}
