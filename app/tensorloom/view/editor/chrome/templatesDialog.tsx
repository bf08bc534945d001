/**
 * The gallery of templates: pick one, set its sizes, draw it.
 */

import { useState } from "react";
import { store, useEditor } from "../store.ts";
import { closeDialog, Dialog } from "./dialog.tsx";
import { Radio } from "./radio.tsx";
import { SmallMark } from "./smallMark.tsx";
import { PICTURE, templatePicture } from "./templatePictures.ts";
import { TEMPLATES, type Template, type TemplateParameter } from "./templateTable.ts";

export function TemplatesDialog() {
  const [name, setName] = useState(TEMPLATES[0]?.name ?? "");
  const template = TEMPLATES.find((one) => one.name === name);
  return (
    <Dialog title="Templates" className="is-wide">
      <div className="tl-gallery" role="radiogroup" aria-label="Template">
        {TEMPLATES.map((one) => (
          <label key={one.name} className="tl-template">
            <Radio name="tl-template" checked={one.name === name} onChange={() => setName(one.name)} data-focus={one.name === name ? "" : undefined} />
            <TemplatePicture name={one.name} />
            <b>{one.label}</b>
            <small>{one.about}</small>
          </label>
        ))}
      </div>
      {template && <Sizes key={template.name} template={template} />}
    </Dialog>
  );
}

function TemplatePicture({ name }: { name: string }) {
  const { lines, marks } = templatePicture(name);
  const size = marks.length > 16 ? 4.6 : 5.6;
  return (
    <svg viewBox={`0 0 ${PICTURE.width} ${PICTURE.height}`} aria-hidden="true">
      <path d={lines} />
      {marks.map(({ x, y, shape, colour }) => (
        <SmallMark key={`${x},${y}`} shape={shape} colour={colour} x={x} y={y} size={size} />
      ))}
    </svg>
  );
}

const readInteger = (text: string): number => (/^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN);

function wrongSize({ label, least, most }: TemplateParameter, text: string): string | null {
  const value = readInteger(text);
  return value >= least && value <= most ? null : `${label}: a whole number from ${least} to ${most}.`;
}

function Sizes({ template }: { template: Template }) {
  const ready = useEditor((state) => state.ready);
  const [texts, setTexts] = useState<Record<string, string>>(() => Object.fromEntries(template.parameters.map((one) => [one.name, String(one.default)])));
  const wrong = template.parameters.map((one) => wrongSize(one, texts[one.name] ?? "")).find((sentence) => sentence !== null) ?? null;
  const draw = () => {
    if (wrong) return;
    const parameters = Object.fromEntries(template.parameters.map((one) => [one.name, readInteger(texts[one.name] ?? "")]));
    store.request({ kind: "template", name: template.name, parameters });
    closeDialog();
  };
  return (
    <form
      className="tl-sizes"
      onSubmit={(event) => {
        event.preventDefault();
        draw();
      }}
    >
      {template.parameters.map((one) => (
        <label key={one.name}>
          <span>{one.label}</span>
          <input
            className="tl-field tl-number-field"
            inputMode="numeric"
            aria-invalid={wrongSize(one, texts[one.name] ?? "") !== null}
            value={texts[one.name] ?? ""}
            onFocus={(event) => event.currentTarget.select()}
            onChange={(event) => setTexts({ ...texts, [one.name]: event.target.value })}
          />
        </label>
      ))}
      <p className={wrong ? "tl-note is-wrong" : "tl-note"} role="status">
        {wrong ?? (ready ? "It replaces what is drawn; undo brings that back." : "It is drawn as soon as Python answers; undo brings back what is there now.")}
      </p>
      <button type="submit" className="tl-button is-main" disabled={wrong !== null}>
        Draw it
      </button>
    </form>
  );
}
