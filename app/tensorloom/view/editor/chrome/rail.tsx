/**
 * The rail: marks to drag onto the paper. A click arms one; the next click on the paper places it.
 */

import { actionOf } from "../actions.ts";
import { store, useEditor } from "../store.ts";
import { Keys } from "./gesturesDialog.tsx";
import { MarkIcon } from "./icons.tsx";
import { DRAG_TYPE, RAIL_TOOLS } from "./railTools.ts";

export function Rail() {
  const armed = useEditor((state) => state.tool);
  return (
    <nav className="tl-rail" aria-label="Things to draw">
      {RAIL_TOOLS.map(({ shape, label, about, action }) => (
        <button
          key={shape}
          type="button"
          className="tl-tool"
          draggable
          aria-label={`${label}. ${about}. Drag it onto the paper, or press and then click the paper.`}
          aria-keyshortcuts={actionOf(action).keys.join(" ")}
          aria-pressed={armed === shape}
          onClick={() => store.set({ tool: armed === shape ? null : shape })}
          onDragStart={(event) => {
            event.dataTransfer.setData(DRAG_TYPE, shape);
            event.dataTransfer.effectAllowed = "copy";
          }}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || armed === null) return;
            store.set({ tool: null });
            event.stopPropagation();
          }}
        >
          <MarkIcon shape={shape} />
          <span className="tl-tip" aria-hidden="true">
            {label} <Keys keys={actionOf(action).keys.slice(0, 1)} />
          </span>
        </button>
      ))}
    </nav>
  );
}
