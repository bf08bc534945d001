/**
 * Export: the document as a file, the einsum as text with and without sizes, a frame for another page.
 */

import { useState } from "react";
import { canonicalText } from "../model/link.ts";
import { store, useEditor } from "../store.ts";
import { copyText, fileName, saveFile } from "./clipboard.ts";
import { Dialog } from "./dialog.tsx";
import { EmbedRow } from "./embedRow.tsx";

export function saveDocument(): void {
  const { document } = store.get();
  saveFile(fileName(document.title), `${canonicalText(document)}\n`, "application/json");
}

export function ExportDialog() {
  const equation = useEditor((state) => state.equation?.text ?? "");
  const dimensions = useEditor((state) => state.document.dimensions);
  const sizes = Object.entries(dimensions).map(([name, size]) => `${name}=${size}`).join(" ");
  return (
    <Dialog title="Export">
      <ul className="tl-exports">
        <li>
          <div>
            <b>Document</b>
            <small>Everything but arrays from files: a JSON file that opens here again</small>
          </div>
          <button type="button" className="tl-button is-main" data-focus="" onClick={saveDocument}>
            Save
          </button>
        </li>
        <li>
          <div>
            <b>Einsum</b>
            <small className="tl-sample">{equation || "appears as soon as Python answers"}</small>
          </div>
          <CopyButton text={equation} label="Copy the einsum" />
        </li>
        <li>
          <div>
            <b>Einsum with sizes</b>
            <small className="tl-sample">{equation ? `${equation}   ${sizes}` : ""}</small>
          </div>
          <CopyButton text={equation && `${equation}\n${sizes}`} label="Copy the einsum with sizes" />
        </li>
        <EmbedRow />
      </ul>
    </Dialog>
  );
}

function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState("Copy");
  return (
    <button
      type="button"
      className="tl-button"
      aria-label={said === "Copy" ? label : said}
      disabled={text === ""}
      onClick={() => void copyText(text).then((done) => setSaid(done ? "Copied" : "Not allowed here"))}
    >
      {said}
    </button>
  );
}
