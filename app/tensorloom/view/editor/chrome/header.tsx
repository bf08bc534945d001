/**
 * The header: whose drawing this is, undo and redo, where it runs, files and sharing.
 */

import { useEffect, useState } from "react";
import { store, useEditor } from "../store.ts";
import { DevicePill } from "./devicePill.tsx";
import { Mark, MenuIcon, RedoIcon, UndoIcon } from "./icons.tsx";
import { NameField } from "./nameField.tsx";
import { ProgressLine } from "./progressLine.tsx";

export function Header() {
  return (
    <header className="tl-header">
      <div className="tl-mark">
        <Mark />
        <span>Tensorloom</span>
      </div>
      <Title />
      <History />
      <div className="tl-header-space" />
      <DevicePill />
      <div className="tl-file-buttons">
        <button type="button" className="tl-button is-plain" onClick={() => store.set({ dialog: "open" })}>
          Open
        </button>
        <button type="button" className="tl-button is-plain" onClick={() => store.set({ dialog: "templates" })}>
          Templates
        </button>
        <button type="button" className="tl-button is-plain" onClick={() => store.set({ dialog: "export" })}>
          Export
        </button>
      </div>
      <button type="button" className="tl-icon-button tl-menu-button" aria-label="All commands" onClick={() => store.set({ dialog: "commands" })}>
        <MenuIcon />
      </button>
      <button type="button" className="tl-button is-filled" onClick={() => store.set({ dialog: "share" })}>
        Share
      </button>
      <ProgressLine />
    </header>
  );
}

function Title() {
  const title = useEditor((state) => state.document.title);
  const [typed, setTyped] = useState<string | null>(null);
  useEffect(() => {
    globalThis.document.title = title ? `${title} · Tensorloom` : "Tensorloom";
  }, [title]);
  return (
    <div className="tl-title">
      <span aria-hidden="true">{(typed ?? title) || " "}</span>
      <NameField
        value={title}
        label="Title of this drawing"
        onTyping={setTyped}
        onRename={(name) => store.dispatch("Rename the drawing", [{ kind: "set-title", title: name }])}
      />
    </div>
  );
}

function History() {
  const canUndo = useEditor((state) => state.canUndo);
  const canRedo = useEditor((state) => state.canRedo);
  return (
    <div className="tl-history">
      <button type="button" className="tl-button is-plain" disabled={!canUndo} aria-keyshortcuts="Control+Z" aria-label="Undo" title="Undo (Ctrl+Z)" onClick={() => store.undo()}>
        <UndoIcon />
        <span>Undo</span>
      </button>
      <button type="button" className="tl-button is-plain" disabled={!canRedo} aria-keyshortcuts="Control+Shift+Z" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" onClick={() => store.redo()}>
        <RedoIcon />
        <span>Redo</span>
      </button>
    </div>
  );
}
