/**
 * The share link and whether it is short enough to travel. Pure but for the page's own address.
 */

import type { DocumentJson } from "../protocol.ts";

/** Longer links are cut by some mail and chat programs. */
export const COMFORTABLE_LINK = 8_000;

export function linkTo(address: string, packed: string): string {
  const url = new URL(address);
  url.search = "";
  url.hash = packed;
  return url.href;
}

export interface LinkSize {
  characters: number;
  /** Part of what travels comfortably, at most 1. */
  part: number;
  tooLong: boolean;
}

export function linkSize(link: string): LinkSize {
  return { characters: link.length, part: Math.min(1, link.length / COMFORTABLE_LINK), tooLong: link.length > COMFORTABLE_LINK };
}

/** Tensors whose numbers came from a file: they stay in this browser. */
export function leftBehind(document: Pick<DocumentJson, "tensors">): string[] {
  return document.tensors.filter((tensor) => tensor.array.kind === "blob").map((tensor) => tensor.name);
}
