/**
 * The selected thing: a tensor, an index, several of them, or the drawing when nothing is selected.
 */

import { actionOf, perform } from "../actions.ts";
import type { Command } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Card, Row, Rows } from "./card.tsx";
import { Choice } from "./choice.tsx";
import { chooseDType } from "./devicePill.tsx";
import { DTYPE_WORDS, DTYPES } from "./deviceWords.ts";
import { IndexCard } from "./indexCard.tsx";
import { MarkChooser } from "./markChooser.tsx";
import { grouped } from "./numbers.ts";
import { Scrub } from "./scrub.tsx";
import { TensorCard } from "./tensorCard.tsx";
import { run } from "./valueCard.tsx";

export function SelectionCard() {
  const { tensors, indices } = useEditor((state) => state.selection);
  const document = useEditor((state) => state.document);
  const [id] = tensors;
  const [name] = indices;
  if (tensors.size === 1) {
    const tensor = document.tensors.find((one) => one.id === id);
    return tensor ? <TensorCard key={tensor.id} tensor={tensor} document={document} /> : null;
  }
  if (tensors.size === 0 && indices.size === 1 && name !== undefined) return <IndexCard key={name} name={name} document={document} />;
  if (tensors.size > 1) return <SeveralTensors ids={[...tensors]} />;
  if (indices.size > 1) return <SeveralIndices names={[...indices]} />;
  return document.tensors.length > 0 ? <DrawingCard /> : null;
}

function SeveralTensors({ ids }: { ids: readonly string[] }) {
  return (
    <Card title={`${grouped(String(ids.length))} tensors`} aside="selected">
      <MarkChooser ids={ids} />
    </Card>
  );
}

function SeveralIndices({ names }: { names: readonly string[] }) {
  const dimensions = useEditor((state) => state.document.dimensions);
  const sizes = new Set(names.map((name) => dimensions[name] ?? 1));
  const [first = 1] = sizes;
  const set = (dimension: number, phase: "live" | "commit") =>
    store.dispatch("Set dimensions", names.map((name): Command => ({ kind: "set-dimension", name, dimension })), phase);
  return (
    <Card title={`${grouped(String(names.length))} indices`} aside={sizes.size === 1 ? `all of ${first}` : "different dimensions"}>
      <Rows>
        <Row label="Dimension of all">
          <Scrub className="tl-chip" label={`Dimension of ${names.length} indices`} value={first} onChange={set} onCancel={() => store.cancelGesture()} />
        </Row>
      </Rows>
    </Card>
  );
}

function DrawingCard() {
  const document = useEditor((state) => state.document);
  const ready = useEditor((state) => state.ready);
  const nIndices = Object.keys(document.dimensions).length;
  return (
    <Card title="This drawing" aside={document.output.length === 0 ? "a single number" : `${document.output.length} open`}>
      <Rows>
        <Row label="Tensors">{grouped(String(document.tensors.length))}</Row>
        <Row label="Indices">{grouped(String(nIndices))}</Row>
        <Row label="Numbers">
          <Choice label="Numbers" value={document.dtype} onChange={chooseDType} options={DTYPES.map((value) => ({ value, label: DTYPE_WORDS[value].short, long: DTYPE_WORDS[value].long }))} />
        </Row>
      </Rows>
      <div className="tl-buttons">
        <button type="button" className="tl-button" disabled={!ready} onClick={run}>
          Compute again
        </button>
        <button type="button" className="tl-button" disabled={!ready} onClick={() => perform("tidy")}>
          {actionOf("tidy").label}
        </button>
      </div>
    </Card>
  );
}
