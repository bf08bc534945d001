/**
 * Every action by name: its words, its keys and where it is listed. One table for menus, the command
 * palette, the list of gestures, the hint line, ARIA texts and the keyboard.
 *
 * What an action does is registered by the component that can do it; `perform` calls it.
 */

export interface Action {
  readonly id: ActionId;
  readonly label: string;
  readonly group: "Draw" | "Edit" | "View" | "Document";
  /** Key combinations such as "Mod+Shift+Z"; Mod is Ctrl, or Command on a Mac. */
  readonly keys: readonly string[];
  /** Needs something selected. */
  readonly held?: boolean;
}

export interface Gesture {
  readonly how: string;
  readonly what: string;
}

export type ActionId =
  | "add-tensor" | "add-operator" | "add-isometry" | "add-copy" | "add-matrix" | "pull-leg" | "connect" | "toggle-open" | "rename" | "set-dimension"
  | "undo" | "redo" | "cut" | "copy" | "paste" | "duplicate" | "delete" | "select-all" | "deselect"
  | "move-left" | "move-right" | "move-up" | "move-down" | "nudge-left" | "nudge-right" | "nudge-up" | "nudge-down" | "tidy"
  | "fit" | "zoom-in" | "zoom-out" | "zoom-reset" | "next" | "previous"
  | "commands" | "gestures" | "open" | "templates" | "export" | "share" | "kernels" | "worker";

export const ACTIONS: readonly Action[] = [
  { id: "add-tensor", label: "Add a tensor", group: "Draw", keys: ["T"] },
  { id: "add-operator", label: "Add an operator", group: "Draw", keys: ["O"] },
  { id: "add-isometry", label: "Add an isometry", group: "Draw", keys: ["I"] },
  { id: "add-copy", label: "Add a copy dot", group: "Draw", keys: ["D"] },
  { id: "add-matrix", label: "Put a matrix on the bond", group: "Draw", keys: ["X"] },
  { id: "pull-leg", label: "Pull a leg", group: "Draw", keys: ["L"], held: true },
  { id: "connect", label: "Connect to a letter", group: "Draw", keys: ["C"], held: true },
  { id: "toggle-open", label: "Open the index, or sum over it", group: "Draw", keys: ["S"], held: true },
  { id: "rename", label: "Rename", group: "Edit", keys: ["F2", "Enter"], held: true },
  { id: "set-dimension", label: "Set the dimension", group: "Edit", keys: ["N"], held: true },
  { id: "undo", label: "Undo", group: "Edit", keys: ["Mod+Z"] },
  { id: "redo", label: "Redo", group: "Edit", keys: ["Mod+Shift+Z", "Mod+Y"] },
  { id: "cut", label: "Cut", group: "Edit", keys: ["Mod+X"], held: true },
  { id: "copy", label: "Copy", group: "Edit", keys: ["Mod+C"], held: true },
  { id: "paste", label: "Paste", group: "Edit", keys: ["Mod+V"] },
  { id: "duplicate", label: "Duplicate", group: "Edit", keys: ["Mod+D"], held: true },
  { id: "delete", label: "Delete", group: "Edit", keys: ["Delete", "Backspace"], held: true },
  { id: "select-all", label: "Select all", group: "Edit", keys: ["Mod+A"] },
  { id: "deselect", label: "Let go", group: "Edit", keys: ["Escape"] },
  { id: "move-left", label: "Move left", group: "Edit", keys: ["ArrowLeft"], held: true },
  { id: "move-right", label: "Move right", group: "Edit", keys: ["ArrowRight"], held: true },
  { id: "move-up", label: "Move up", group: "Edit", keys: ["ArrowUp"], held: true },
  { id: "move-down", label: "Move down", group: "Edit", keys: ["ArrowDown"], held: true },
  { id: "nudge-left", label: "Move left by a pixel", group: "Edit", keys: ["Shift+ArrowLeft"], held: true },
  { id: "nudge-right", label: "Move right by a pixel", group: "Edit", keys: ["Shift+ArrowRight"], held: true },
  { id: "nudge-up", label: "Move up by a pixel", group: "Edit", keys: ["Shift+ArrowUp"], held: true },
  { id: "nudge-down", label: "Move down by a pixel", group: "Edit", keys: ["Shift+ArrowDown"], held: true },
  { id: "tidy", label: "Tidy the layout", group: "Edit", keys: ["Shift+L"] },
  { id: "fit", label: "Fit the drawing", group: "View", keys: ["F", "0"] },
  { id: "zoom-in", label: "Zoom in", group: "View", keys: ["+", "="] },
  { id: "zoom-out", label: "Zoom out", group: "View", keys: ["-"] },
  { id: "zoom-reset", label: "Zoom to 100 %", group: "View", keys: ["1"] },
  { id: "next", label: "Next tensor or leg", group: "View", keys: ["Tab"] },
  { id: "previous", label: "Previous tensor or leg", group: "View", keys: ["Shift+Tab"] },
  { id: "commands", label: "Commands", group: "Document", keys: ["Space", "Mod+K"] },
  { id: "gestures", label: "All gestures", group: "Document", keys: ["?"] },
  { id: "open", label: "Open a file", group: "Document", keys: ["Mod+O"] },
  { id: "templates", label: "Templates", group: "Document", keys: ["M"] },
  { id: "export", label: "Export", group: "Document", keys: ["E"] },
  { id: "share", label: "Share a link", group: "Document", keys: ["Mod+S"] },
  { id: "kernels", label: "Kernels", group: "Document", keys: ["K"] },
  { id: "worker", label: "Worker and jobs", group: "Document", keys: ["W"] },
];

/** What the pointer can do; listed with the keys under "All gestures". */
export const GESTURES: readonly Gesture[] = [
  { how: "Double-click the paper", what: "places a tensor" },
  { how: "Drag a shape from the rail", what: "places it; on a bond, puts it into the bond" },
  { how: "Drag from a tensor's rim", what: "pulls a leg; drop it on the paper to leave it open" },
  { how: "The same with Shift", what: "puts a new tensor at the leg's end" },
  { how: "Drag from rim to rim", what: "joins two tensors by a new bond" },
  { how: "Drag from the rim out and back", what: "makes a loop: a trace" },
  { how: "Drag a leg's end to a rim or to another end", what: "joins them" },
  { how: "Drop a leg on a bond", what: "shares its index: a dot with three legs" },
  { how: "Drag a tensor's body", what: "moves it, and with it all that is selected" },
  { how: "Drag on the paper", what: "selects what is inside the box" },
  { how: "Drag a dimension sideways", what: "changes it; click it to type" },
  { how: "Double-click a name", what: "renames it" },
  { how: "Scroll, or drag with the right button", what: "moves the paper" },
  { how: "Pinch, or scroll with Ctrl", what: "zooms" },
];

/** Labels of what can be focused in the diagram; the one place for ARIA texts. */
export const ARIA = {
  canvas: "Diagram of the tensor network. Tab goes through tensors and legs; question mark lists all keys.",
  zoom: "Zoom",
  hint: "Hint",
  live: "What has just been done",
  dimension: (index: string): string => `Dimension of index ${index}`,
  indexName: (index: string): string => `Name of index ${index}`,
  tensorName: (tensor: string): string => `Name of tensor ${tensor}`,
} as const;

/** What an action does; `false` says that there was nothing to do, and the key keeps its own meaning. */
export type Handler = () => boolean | void;

const handlers = new Map<ActionId, Handler>();

/** Says what actions do; the answer takes it back. Later registrations win. */
export function registerActions(given: Partial<Record<ActionId, Handler>>): () => void {
  const entries = Object.entries(given) as [ActionId, Handler][];
  for (const [id, handler] of entries) handlers.set(id, handler);
  return () => {
    for (const [id, handler] of entries) if (handlers.get(id) === handler) handlers.delete(id);
  };
}

/** Does the action; false when nothing on the page can, or there was nothing to do. */
export function perform(id: ActionId): boolean {
  const handler = handlers.get(id);
  return handler !== undefined && handler() !== false;
}

export function actionOf(id: ActionId): Action {
  const found = ACTIONS.find((action) => action.id === id);
  if (!found) throw new Error(`There is no action ${id}.`);
  return found;
}

export interface KeyPress {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** The action of a key press. Shift is part of a symbol's key, such as "?", and not asked for there. */
export function actionFor(press: KeyPress): ActionId | null {
  if (press.altKey) return null;
  const key = press.key === " " ? "Space" : press.key.length === 1 ? press.key.toUpperCase() : press.key;
  const symbol = key.length === 1 && !/[A-Z]/.test(key);
  const shift = press.shiftKey && !symbol ? "Shift+" : "";
  const wanted = `${press.ctrlKey || press.metaKey ? "Mod+" : ""}${shift}${key}`;
  return ACTIONS.find((action) => action.keys.includes(wanted))?.id ?? null;
}

/** Keys as they are printed: "Ctrl+Z", or "⌘Z" on a Mac. */
export function shownKey(keys: string, mac: boolean): string {
  const named: Record<string, string> = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", Delete: "Del" };
  const parts = keys === "+" ? ["+"] : keys.split("+");
  const shown = parts.map((part) => (part === "Mod" ? (mac ? "⌘" : "Ctrl") : part === "Shift" && mac ? "⇧" : (named[part] ?? part)));
  return shown.join(mac ? "" : "+");
}
