/**
 * Embedding: what is shown, compiled, as the text of a frame or as an address; as a file where that is too long.
 */

import { useState } from "react";
import { useEditor } from "../store.ts";
import { copyText, fileName, saveFile } from "./clipboard.ts";
import { frameText } from "./frameText.ts";

/** The page's own API; not there under `panel serve`, whose pages have no engine of their own. */
const page = globalThis as { tensorloom?: { embed(): Promise<{ link?: string; file: ArrayBuffer }> } };

type Form = "frame" | "link";

const LABELS: readonly [Form, string][] = [
  ["frame", "Copy the frame"],
  ["link", "Copy the link"],
];

export function EmbedRow() {
  const title = useEditor((state) => state.document.title);
  const [said, setSaid] = useState<{ form: Form; words: string } | null>(null);
  const api = page.tensorloom;
  if (!api) return null;
  const embed = async (form: Form) => {
    const { link, file } = await api.embed();
    if (link === undefined) {
      saveFile(`${fileName(title).replace(/\.[^.]*$/, "")}.tlprog`, file, "application/octet-stream");
      return "Saved as a file";
    }
    return (await copyText(form === "frame" ? frameText(link, title) : link)) ? "Copied" : "Not allowed here";
  };
  const say = (form: Form) => (words: string) => setSaid({ form, words });
  return (
    <li>
      <div>
        <b>Embed</b>
        <small>Drawing and value for a frame in another page, there at once, without Python; too long for an address, a file to lay beside it</small>
      </div>
      <div className="tl-buttons">
        {LABELS.map(([form, label]) => (
          <button key={form} type="button" className="tl-button" onClick={() => void embed(form).then(say(form), (error: { message?: string }) => say(form)(error.message ?? "Not possible"))}>
            {said?.form === form ? said.words : label}
          </button>
        ))}
      </div>
    </li>
  );
}
