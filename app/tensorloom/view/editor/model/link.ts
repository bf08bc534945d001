/**
 * Share links in the page: canonical JSON -> raw deflate -> base64url, twin of `model/codec.py`.
 *
 * Decoding checks the shape lightly, enough to draw; Python validates everything when it is there.
 */

import type { DocumentJson } from "../protocol.ts";

export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

/** JSON with sorted keys and no blanks; `dimensions` order is restored from the tensors. */
export function canonicalText(document: DocumentJson): string {
  return JSON.stringify(sorted(document));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

export async function encodeLink(document: DocumentJson): Promise<string> {
  return packed(new TextEncoder().encode(canonicalText(document)));
}

/** Bytes as letters that an address may hold; deflated. */
export async function packed(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const plain = new Blob([bytes]).stream();
  const deflated = await new Response(plain.pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer();
  let binary = "";
  for (const byte of new Uint8Array(deflated)) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export async function decodeLink(link: string): Promise<DocumentJson> {
  const binary = atob(link.replaceAll("-", "+").replaceAll("_", "/"));
  const packed = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.byteLength;
    if (size > MAX_DOCUMENT_BYTES) throw new Error("The link holds more than 4 MiB.");
    chunks.push(part.value as Uint8Array);
  }
  const text = await new Blob(chunks as BlobPart[]).text();
  return checkedDocument(JSON.parse(text));
}

/** The value as a document with its dimensions in order, when it is drawable. */
export function checkedDocument(value: unknown): DocumentJson {
  const document = value as DocumentJson;
  const plain = (part: unknown): part is Record<string, unknown> => part !== null && typeof part === "object" && !Array.isArray(part);
  if (!plain(value) || document.tensorloom !== 1) throw new Error("This is not a Tensorloom document, or a newer one.");
  if (!Array.isArray(document.tensors) || !plain(document.dimensions) || !plain(document.marks) || !Array.isArray(document.output))
    throw new Error("This document is incomplete.");
  for (const tensor of document.tensors) {
    const good = typeof tensor.id === "string" && typeof tensor.name === "string" && Array.isArray(tensor.indices) && plain(tensor.array);
    const mark = document.marks[tensor.id];
    if (!good || !mark || !Number.isFinite(mark.x) || !Number.isFinite(mark.y)) throw new Error("A tensor of this document is incomplete.");
    if (!tensor.indices.every((name) => Number.isInteger(document.dimensions[name]))) throw new Error("An index has no dimension.");
  }
  const order = new Set(document.tensors.flatMap((tensor) => tensor.indices));
  const dimensions = Object.fromEntries([...order].map((name) => [name, document.dimensions[name] ?? 1]));
  return { ...document, title: String(document.title ?? "Untitled"), dtype: document.dtype ?? "float64", anchors: document.anchors ?? {}, dimensions };
}
