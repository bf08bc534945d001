/**
 * A run that was not started because it would not fit: the numbers, and the ways out as buttons.
 */

import type { Command, DocumentJson, ErrorJson, PlanJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Row, Rows } from "./card.tsx";
import { chooseDType } from "./devicePill.tsx";
import { bigCount, bytes } from "./numbers.ts";
import { canReachWorkers, RemotePart } from "./remoteDoor.tsx";
import { largestDimension, refusalBytes } from "./valueState.ts";

export function Refusal({ plan, refused }: { plan: PlanJson; refused: ErrorJson }) {
  const document = useEditor((state) => state.document);
  const { needed, limit } = refusalBytes(plan);
  return (
    <div className="tl-refusal">
      <p className="tl-number" data-size="large">
        <b>{bytes(needed)}</b> <span>needed</span>
      </p>
      <p>
        {refused.message} <span className="tl-quiet">{refused.hint}</span>
      </p>
      <Rows>
        {limit !== null && <Row label="Room here">{bytes(limit)}</Row>}
        <Row label="Multiply-adds">{bigCount(plan.mulAdds)}</Row>
      </Rows>
      {canReachWorkers() && <RemotePart name="RunChoice" instead={<ConnectOne />} />}
      <WaysOut document={document} />
    </div>
  );
}

/** What the same place holds until a worker is connected. */
function ConnectOne() {
  return (
    <div className="tl-buttons">
      <button type="button" className="tl-button is-main" onClick={() => store.set({ dialog: "worker" })}>
        Send it to a worker
      </button>
    </div>
  );
}

function WaysOut({ document }: { document: DocumentJson }) {
  const searching = useEditor((state) => state.search?.running ?? false);
  const largest = largestDimension(document);
  const narrow = { float64: "float32", complex128: "complex64", float32: null, complex64: null } as const;
  const half = narrow[document.dtype];
  return (
    <div className="tl-buttons" role="group" aria-label="Ways out">
      <button type="button" className="tl-button" disabled={searching} onClick={() => store.request({ kind: "search", action: "start" })}>
        {searching ? "Looking for a better order" : "Look for a better order"}
      </button>
      <button type="button" className="tl-button" onClick={() => store.request({ kind: "run", backend: store.get().backend, dtype: null, slice: true })}>
        Slice it to fit
      </button>
      {largest && (
        <button type="button" className="tl-button" onClick={() => halve(largest)}>
          {largest.names.length === 1 ? `Halve ${largest.names[0]}: ${largest.dimension} to ${Math.floor(largest.dimension / 2)}` : `Halve ${largest.names.length} indices of ${largest.dimension}`}
        </button>
      )}
      {half && (
        <button type="button" className="tl-button" onClick={() => chooseDType(half)}>
          Use 32-bit numbers
        </button>
      )}
    </div>
  );
}

function halve({ dimension, names }: { dimension: number; names: readonly string[] }): void {
  const commands = names.map((name): Command => ({ kind: "set-dimension", name, dimension: Math.floor(dimension / 2) }));
  store.dispatch("Halve the largest dimension", commands);
}
