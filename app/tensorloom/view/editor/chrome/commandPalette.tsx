/**
 * The command palette: everything that can be done, found by a few letters.
 */

import { useMemo, useState } from "react";
import { ACTIONS, perform } from "../actions.ts";
import { store, type Theme, useEditor } from "../store.ts";
import { chooseDType } from "./devicePill.tsx";
import { DTYPE_WORDS, DTYPES } from "./deviceWords.ts";
import { closeDialog, Dialog } from "./dialog.tsx";
import { Keys } from "./gesturesDialog.tsx";
import { type Entry, found } from "./paletteSearch.ts";
import { run } from "./valueCard.tsx";

interface Command extends Entry {
  run: () => void;
}

const THEMES: readonly Theme[] = ["system", "light", "dark"];

function commands(hasSelection: boolean): Command[] {
  const actions = ACTIONS.filter((action) => action.id !== "commands" && (hasSelection || !action.held)).map((action): Command => ({ ...action, run: () => void perform(action.id) }));
  const more: Command[] = [
    { id: "run", label: "Compute again", group: "Document", keys: [], run },
    { id: "improve", label: "Look for a better order", group: "Document", keys: [], run: () => void store.request({ kind: "search", action: "start" }) },
    ...DTYPES.map((dtype): Command => ({ id: dtype, label: `Numbers: ${DTYPE_WORDS[dtype].short}`, group: "Document", keys: [], run: () => chooseDType(dtype) })),
    ...THEMES.map((theme): Command => ({ id: theme, label: `Appearance: ${theme}`, group: "View", keys: [], run: () => store.set({ theme }) })),
  ];
  return [...actions, ...more];
}

export function CommandPalette() {
  const hasSelection = useEditor((state) => state.selection.tensors.size + state.selection.indices.size > 0);
  const all = useMemo(() => commands(hasSelection), [hasSelection]);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const shown = useMemo(() => found(all, typed), [all, typed]);
  const current = Math.min(at, shown.length - 1);
  const doIt = (command: Command | undefined) => {
    if (!command) return;
    // The command may open another dialog; this one is gone first.
    closeDialog();
    command.run();
  };
  return (
    <Dialog title="Commands" className="is-palette" bare>
      <input
        className="tl-palette-input"
        role="combobox"
        aria-label="Find a command"
        aria-expanded="true"
        aria-controls="tl-palette-list"
        aria-activedescendant={shown[current] ? `tl-command-${shown[current].id}` : undefined}
        data-focus=""
        spellCheck={false}
        placeholder="What would you like to do?"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step !== undefined) setAt((current + step + shown.length) % Math.max(1, shown.length));
          else if (event.key === "Enter") doIt(shown[current]);
          else return;
          event.preventDefault();
        }}
      />
      <ul className="tl-palette" id="tl-palette-list" role="listbox" aria-label="Commands">
        {shown.map((command, order) => (
          <li
            key={command.id}
            id={`tl-command-${command.id}`}
            role="option"
            aria-selected={order === current}
            ref={order === current ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
            onPointerMove={() => order !== current && setAt(order)}
            onClick={() => doIt(command)}
          >
            <span>{command.label}</span>
            <small>{command.group}</small>
            <Keys keys={command.keys.slice(0, 1)} />
          </li>
        ))}
        {shown.length === 0 && <li className="tl-note">Nothing is called “{typed}”.</li>}
      </ul>
    </Dialog>
  );
}
