/**
 * Export: the document as a file, the einsum as text with and without sizes.
 */

import { useState } from "react";
import { canonicalText } from "../model/link.ts";
import { store, useEditor } from "../store.ts";
import { copyText, fileName, saveFile } from "./clipboard.ts";
import { Dialog } from "./dialog.tsx";

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

/** The page's own API; not there under `panel serve`, whose pages have no engine of their own. */
const page = globalThis as { tensorloom?: { embed(): Promise<{ link?: string; file: ArrayBuffer }> } };

function EmbedRow() {
  const title = useEditor((state) => state.document.title);
  const [said, setSaid] = useState("Copy the link");
  const api = page.tensorloom;
  if (!api) return null;
  const embed = async () => {
    const { link, file } = await api.embed();
    if (link === undefined) saveFile(`${fileName(title).replace(/\.[^.]*$/, "")}.tlprog`, file, "application/octet-stream");
    const copied = link !== undefined && (await copyText(link));
    setSaid(link === undefined ? "Saved as a file" : copied ? "Copied" : "Not allowed here");
  };
  return (
    <li>
      <div>
        <b>Embed</b>
        <small>An address that shows drawing and value at once, for a frame in another page</small>
      </div>
      <button type="button" className="tl-button" onClick={() => void embed().catch((error: { message?: string }) => setSaid(error.message ?? "Not possible"))}>
        <span role="status">{said}</span>
      </button>
    </li>
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
