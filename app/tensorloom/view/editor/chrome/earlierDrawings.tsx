/**
 * Drawings of other tabs and of earlier visits: each is kept under a key of its own, and opened from here.
 */

import { useEffect, useState } from "react";
import type { Draft } from "../drafts.ts";
import { earlierDrawings, openEarlier } from "../start.ts";
import { store } from "../store.ts";
import { closeDialog } from "./dialog.tsx";

/** More would push what the dialog is for out of sight. */
const FEW = 4;

export function EarlierDrawings() {
  const [found, setFound] = useState<readonly Draft[]>([]);
  const [all, setAll] = useState(false);
  useEffect(() => {
    let wanted = true;
    void earlierDrawings(store).then((drafts) => wanted && setFound(drafts));
    return () => {
      wanted = false;
    };
  }, []);
  if (found.length === 0) return null;
  return (
    <section className="tl-earlier" aria-label="Earlier drawings">
      <h3>Earlier drawings in this browser</h3>
      <ul>
        {found.slice(0, all ? undefined : FEW).map((draft) => (
          <li key={draft.key}>
            <button
              type="button"
              className="tl-button is-plain"
              onClick={() => {
                closeDialog();
                void openEarlier(store, draft);
              }}
            >
              <b>{draft.document.title}</b>
              <span>{contents(draft)}</span>
              <time dateTime={new Date(draft.savedAt).toISOString()}>{new Date(draft.savedAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}</time>
            </button>
          </li>
        ))}
      </ul>
      {found.length > FEW && !all && (
        <button type="button" className="tl-button is-plain" onClick={() => setAll(true)}>
          Show all {found.length}
        </button>
      )}
    </section>
  );
}

function contents({ document: { tensors } }: Draft): string {
  const names = tensors.slice(0, 4).map(({ name }) => name);
  return `${tensors.length} ${tensors.length === 1 ? "tensor" : "tensors"}: ${names.join(", ")}${tensors.length > names.length ? ", …" : ""}`;
}
