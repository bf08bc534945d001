/**
 * The whole page takes dropped files. Drags from the rail carry no files and are the canvas's.
 */

import { useEffect, useState } from "react";
import { store } from "../store.ts";
import { askAbout } from "./openDialog.tsx";
import { openFile } from "./openFile.ts";

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

export function DropTarget() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      // Leaving the window, not just one element for the next.
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (file) void openFile(file, null, (read, qubits) => {
        askAbout(read, qubits);
        store.set({ dialog: null });
        store.set({ dialog: "open" });
      });
    };
    globalThis.addEventListener("dragover", drag, { capture: true });
    globalThis.addEventListener("dragleave", leave);
    globalThis.addEventListener("drop", drop, { capture: true });
    return () => {
      globalThis.removeEventListener("dragover", drag, { capture: true });
      globalThis.removeEventListener("dragleave", leave);
      globalThis.removeEventListener("drop", drop, { capture: true });
    };
  }, []);
  if (!over) return null;
  return (
    <div className="tl-drop-veil" aria-hidden="true">
      <p>Drop to open</p>
    </div>
  );
}
