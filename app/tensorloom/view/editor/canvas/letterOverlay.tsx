/** The codes at everything that can be connected to; typing one connects. */

import { useStore } from "@xyflow/react";
import { useEffect, useState } from "react";
import { store } from "../store.ts";
import { resolveDrop, type Source } from "./drops.ts";
import { toScreen } from "./fit.ts";
import type { Target } from "./letters.ts";
import { attempt } from "./pulls.ts";

export function LetterOverlay({ source, targets, onDone }: { source: Source; targets: readonly Target[]; onDone: () => void }) {
  const [x, y, zoom] = useStore((state) => state.transform);
  const [typed, setTyped] = useState("");
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape" || event.key === "Tab") {
        onDone();
        return;
      }
      const text = event.key === "Backspace" ? typed.slice(0, -1) : typed + event.key.toLowerCase();
      const target = targets.find(({ code }) => code === text);
      if (target) {
        attempt(store, () => resolveDrop(store.get().document, source, target.hit, target.at, false));
        onDone();
      } else if (targets.some(({ code }) => code.startsWith(text))) setTyped(text);
    };
    globalThis.addEventListener("keydown", onKey, { capture: true });
    globalThis.addEventListener("pointerdown", onDone, { capture: true });
    return () => {
      globalThis.removeEventListener("keydown", onKey, { capture: true });
      globalThis.removeEventListener("pointerdown", onDone, { capture: true });
    };
  }, [typed, targets, source, onDone]);
  return (
    <div className="tl-letters" aria-hidden="true">
      {targets
        .filter(({ code }) => code.startsWith(typed))
        .map(({ code, at, hit }) => {
          const place = toScreen(at, { x, y, zoom });
          return (
            <kbd key={code} className={`is-${hit.kind}`} style={{ left: place.x, top: place.y }}>
              {code}
            </kbd>
          );
        })}
    </div>
  );
}
