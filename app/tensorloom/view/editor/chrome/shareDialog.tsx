/**
 * Sharing: the whole document as a link, how long it is, and the file where it is too long.
 */

import { useEffect, useRef, useState } from "react";
import { encodeLink } from "../model/link.ts";
import { useEditor } from "../store.ts";
import { copyText } from "./clipboard.ts";
import { Dialog } from "./dialog.tsx";
import { saveDocument } from "./exportDialog.tsx";
import { grouped } from "./numbers.ts";
import { COMFORTABLE_LINK, leftBehind, linkSize, linkTo } from "./sharing.ts";

export function ShareDialog() {
  const document = useEditor((state) => state.document);
  const [link, setLink] = useState<string | null>(null);
  const left = leftBehind(document);
  useEffect(() => {
    let current = true;
    void encodeLink(document).then((packed) => {
      if (current) setLink(linkTo(globalThis.location.href, packed));
    });
    return () => {
      current = false;
    };
  }, [document]);
  return (
    <Dialog title="Share">
      <p className="tl-quiet">The link holds the whole drawing. Nothing is uploaded; whoever opens it sees what you see and can change their own copy.</p>
      {link === null ? <p className="tl-note">Packing the drawing.</p> : <Link link={link} />}
      {left.length > 0 && (
        <p className="tl-note">
          Numbers from files stay here ({left.slice(0, 3).join(", ")}
          {left.length > 3 ? ` and ${left.length - 3} more` : ""}); send those files too.
        </p>
      )}
    </Dialog>
  );
}

function Link({ link }: { link: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState("Copy");
  const { characters, part, tooLong } = linkSize(link);
  useEffect(() => field.current?.focus(), []);
  const copy = async () => {
    field.current?.select();
    setSaid((await copyText(link)) ? "Copied" : "Press Ctrl+C");
  };
  return (
    <>
      <div className="tl-link-row">
        <input ref={field} className="tl-field" aria-label="Link" readOnly value={link} onFocus={(event) => event.currentTarget.select()} />
        <button type="button" className="tl-button is-main" onClick={() => void copy()}>
          <span role="status">{said}</span>
        </button>
      </div>
      <div className="tl-meter" data-too-long={tooLong ? "" : undefined} aria-hidden="true">
        <i style={{ width: `${100 * part}%` }} />
      </div>
      <div className="tl-ends">
        <span>
          {grouped(String(characters))} characters
          {tooLong ? `, some programs cut links at ${grouped(String(COMFORTABLE_LINK))}. A file always arrives whole.` : ", short enough for mail and chat"}
        </span>
        {tooLong && (
          <button type="button" className="tl-button" onClick={saveDocument}>
            Save the file
          </button>
        )}
      </div>
    </>
  );
}
