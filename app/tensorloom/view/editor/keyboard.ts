/**
 * The keyboard of the workbench: key presses to actions, wherever the focus is not in a text field.
 *
 * Keys without Ctrl act while the diagram, or nothing, has the focus; so every button keeps its own.
 */

import { type ActionId, actionFor, perform } from "./actions.ts";
import { store } from "./store.ts";

/** These come as clipboard events, which carry the data. */
const BY_CLIPBOARD: ReadonlySet<ActionId> = new Set(["copy", "cut", "paste"]);

export function listenToKeys(canvas: () => HTMLElement | null): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing || isTyping(event) || store.get().dialog !== null) return;
    const id = actionFor(event);
    if (id === null || BY_CLIPBOARD.has(id)) return;
    const [target] = event.composedPath();
    const inside = target instanceof Node && (canvas()?.contains(target) ?? false);
    const nowhere = target === document.body || target === document.documentElement;
    const modified = event.ctrlKey || event.metaKey;
    if (!modified && !inside && !nowhere) return;
    if (target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter" || event.key === "Tab")) return;
    if ((id === "next" || id === "previous") && (!inside || target !== canvas())) return;
    if (perform(id)) event.preventDefault();
  };
  globalThis.addEventListener("keydown", onKey);
  return () => globalThis.removeEventListener("keydown", onKey);
}

/** Whether the event belongs to a field in which one types. */
export function isTyping(event: Event): boolean {
  const [target] = event.composedPath();
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
