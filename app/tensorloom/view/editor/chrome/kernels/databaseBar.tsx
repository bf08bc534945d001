/**
 * The kernel database: take the choices made here to another browser, or bring some in.
 */

import { useEffect, useRef, useState } from "react";
import { store, useEditor } from "../../store.ts";
import { saveFile } from "../clipboard.ts";

export function DatabaseBar() {
  const [wanted, setWanted] = useState(false);
  const answer = useEditor((state) => state.kernelDatabase);
  const ready = useEditor((state) => state.ready);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => store.set({ kernelDatabase: null }), []);
  useEffect(() => {
    if (!wanted || !answer?.text) return;
    setWanted(false);
    saveFile("tensorloom-kernels.json", answer.text, "application/json");
  }, [wanted, answer]);
  const take = async (file: File | undefined) => {
    if (file) store.request({ kind: "kernel-database", action: "import", text: await file.text() });
  };
  return (
    <footer className="tl-database">
      <p className="tl-note" role="status">
        {answer?.message || "Choices are kept in this browser, for this device. A file holds only parameters, never code; what is brought in is timed here before it is used."}
      </p>
      <div className="tl-buttons">
        <button
          type="button"
          className="tl-button"
          disabled={!ready}
          onClick={() => {
            setWanted(true);
            store.request({ kind: "kernel-database", action: "export", text: null });
          }}
        >
          Save the choices
        </button>
        <button type="button" className="tl-button" disabled={!ready} onClick={() => input.current?.click()}>
          Bring some in
        </button>
        <button type="button" className="tl-button" disabled={!ready} onClick={() => store.request({ kind: "kernel-database", action: "clear", text: null })}>
          Forget them
        </button>
        <input ref={input} type="file" accept=".json,application/json" hidden onChange={(event) => void take(event.target.files?.[0])} />
      </div>
    </footer>
  );
}
