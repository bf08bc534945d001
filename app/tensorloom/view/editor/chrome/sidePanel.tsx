/**
 * The side panel: cards in the order of asking. What is it, what is this, how was it got.
 *
 * On narrow screens only the value shows, in one line at the bottom; a tap opens the cards as a sheet.
 */

import { store, useEditor } from "../store.ts";
import { InspectionCard } from "./inspectionCard.tsx";
import { FoldIcon } from "./icons.tsx";
import { OrderCard } from "./orderCard.tsx";
import { SelectionCard } from "./selectionCard.tsx";
import { useValueState, ValueCard } from "./valueCard.tsx";
import { STATE_WORDS } from "./valueState.ts";
import { headline } from "./valueText.ts";

export function SidePanel() {
  const isOpen = useEditor((state) => state.sheet === "side");
  return (
    <aside className="tl-side" aria-label="Value and details" data-open={isOpen ? "" : undefined}>
      <Strip isOpen={isOpen} />
      <div className="tl-side-cards">
        <ValueCard />
        <SelectionCard />
        <InspectionCard />
        <OrderCard />
      </div>
    </aside>
  );
}

function Strip({ isOpen }: { isOpen: boolean }) {
  const state = useValueState();
  const result = useEditor((now) => now.result);
  const hasSteps = useEditor((now) => (now.plan?.steps.length ?? 0) > 0);
  const { text, bound } = result && (state === "live" || state === "stale") ? headline(result) : { text: "", bound: "" };
  return (
    <div className="tl-strip">
      <button type="button" className="tl-strip-value" aria-expanded={isOpen} onClick={() => store.set({ sheet: isOpen ? null : "side" })}>
        <span className="tl-strip-label">Value</span>
        <b className={state === "stale" ? "is-stale" : ""}>{text || STATE_WORDS[state] || "nothing drawn"}</b>
        <small>{bound}</small>
        <FoldIcon folded={!isOpen} />
      </button>
      {hasSteps && (
        <button type="button" className="tl-button tl-strip-plan" onClick={() => store.set({ sheet: "plan" })}>
          Steps
        </button>
      )}
    </div>
  );
}
