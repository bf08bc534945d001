/** Copy, cut and paste through the browser's own clipboard events: text in, text out. */

import { isTyping } from "../keyboard.ts";
import type { DocumentJson } from "../protocol.ts";
import type { EditorStore } from "../store.ts";
import { fragmentFrom, fragmentOf, pasted } from "./fragments.ts";
import { boxOf, type DiagramPoint } from "./points.ts";

/** Moved aside by this much, a copy does not hide what it was copied from [px]. */
const ASIDE = 32;

export function copiedText(store: EditorStore): string | null {
  const { document, selection } = store.get();
  return selection.tensors.size > 0 ? JSON.stringify(fragmentOf(document, selection.tensors)) : null;
}

/** Puts a piece in: its middle at `at`, or a little aside of where it came from. */
export function pastePiece(store: EditorStore, piece: DocumentJson, at: DiagramPoint | null, gesture: string): void {
  const box = boxOf(Object.values(piece.marks));
  const shift = at ? { x: at.x - (box.left + box.right) / 2, y: at.y - (box.top + box.bottom) / 2 } : { x: ASIDE, y: ASIDE };
  const { commands, tensors } = pasted(store.get().document, piece, shift);
  if (store.dispatch(gesture, commands)) store.select({ tensors });
}

/** A piece of a drawing is put in; any other text is opened: an einsum, a circuit, a network. */
export function pasteText(store: EditorStore, text: string, at: DiagramPoint | null): void {
  const piece = fragmentFrom(text);
  if (piece) pastePiece(store, piece, at, "Paste");
  else if (text.trim() !== "") store.request({ kind: "open", format: null, name: "pasted text", text, base64: null, onto: null, options: {} });
}

export function duplicate(store: EditorStore): boolean {
  const { document, selection } = store.get();
  if (selection.tensors.size === 0) return false;
  pastePiece(store, fragmentOf(document, selection.tensors), null, "Duplicate");
  return true;
}

interface ClipboardPlaces {
  /** Where the pointer is, when it is over the paper. */
  at: () => DiagramPoint | null;
  remove: () => void;
}

export function listenToClipboard(store: EditorStore, { at, remove }: ClipboardPlaces): () => void {
  const take = (event: ClipboardEvent) => {
    if (event.defaultPrevented || isTyping(event) || String(globalThis.getSelection?.() ?? "") !== "") return;
    const text = copiedText(store);
    if (text === null) return;
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    if (event.type === "cut") remove();
  };
  const put = (event: ClipboardEvent) => {
    if (event.defaultPrevented || isTyping(event) || store.get().dialog !== null) return;
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (text === "" || (event.clipboardData?.files.length ?? 0) > 0) return;
    event.preventDefault();
    pasteText(store, text, at());
  };
  const { document } = globalThis;
  document.addEventListener("copy", take);
  document.addEventListener("cut", take);
  document.addEventListener("paste", put);
  return () => {
    document.removeEventListener("copy", take);
    document.removeEventListener("cut", take);
    document.removeEventListener("paste", put);
  };
}
