/** A tensor's name, edited where it is drawn. */

import { useStore } from "@xyflow/react";
import { useRef } from "react";
import { ARIA } from "../actions.ts";
import { store } from "../store.ts";
import { toScreen } from "./fit.ts";
import type { Placed } from "./scene.ts";

export function RenameField({ placed, onDone }: { placed: Placed; onDone: () => void }) {
  const [x, y, zoom] = useStore((state) => state.transform);
  const place = toScreen(placed, { x, y, zoom });
  const finished = useRef(false);
  const finish = (name: string | null) => {
    if (finished.current) return;
    finished.current = true;
    const wanted = name?.trim() ?? "";
    if (wanted !== "" && wanted !== placed.name) store.dispatch("Rename", [{ kind: "rename-tensor", id: placed.id, name: wanted }]);
    onDone();
  };
  return (
    <input
      className="tl-rename"
      style={{ left: place.x, top: place.y }}
      aria-label={ARIA.tensorName(placed.name)}
      autoFocus
      spellCheck={false}
      autoComplete="off"
      maxLength={64}
      defaultValue={placed.name}
      onFocus={(event) => event.currentTarget.select()}
      onBlur={(event) => finish(event.currentTarget.value)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(event.currentTarget.value);
        if (event.key === "Escape") finish(null);
      }}
    />
  );
}
