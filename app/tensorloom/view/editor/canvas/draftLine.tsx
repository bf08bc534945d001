/** While a link's drawing is shown: the user's own is kept, one click away. */

import { goBack } from "../start.ts";
import { store, useEditor } from "../store.ts";

export function DraftLine() {
  const waits = useEditor((state) => state.draftWaiting);
  if (!waits) return null;
  return (
    <p className="tl-draft-line">
      Your own drawing is kept.{" "}
      <button type="button" onClick={() => goBack(store)}>
        Go back
      </button>
      <button type="button" aria-label="Close this line" onClick={() => store.set({ draftWaiting: false })}>
        ×
      </button>
    </p>
  );
}
