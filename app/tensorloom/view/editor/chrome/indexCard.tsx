/**
 * The selected index: its dimension, its ends, and whether it stays in the result.
 */

import type { DocumentJson } from "../protocol.ts";
import { store } from "../store.ts";
import { Card, Row, Rows } from "./card.tsx";
import { indexWord, type Leg, legsOf, withOpen } from "./legs.ts";
import { MathText } from "./mathText.tsx";
import { NameField } from "./nameField.tsx";
import { Scrub } from "./scrub.tsx";

const MOST_LEGS = 8;

export function IndexCard({ name, document }: { name: string; document: DocumentJson }) {
  const legs = legsOf(document, name);
  const isOpen = document.output.includes(name);
  return (
    <Card title={<>Index <MathText name={name} /></>} aside={indexWord(legs, isOpen)}>
      <Rows>
        <Row label="Name">
          <NameField value={name} label="Name of the index" onRename={(to) => rename(name, to)} />
        </Row>
        <Row label="Dimension">
          <Scrub
            className="tl-chip"
            label={`Dimension of ${name}`}
            value={document.dimensions[name] ?? 1}
            onChange={(dimension, phase) => store.dispatch("Set dimension", [{ kind: "set-dimension", name, dimension }], phase)}
            onCancel={() => store.cancelGesture()}
          />
        </Row>
        <Row label="On">
          <Legs legs={legs} />
        </Row>
        <Row label="Open, stays in the result">
          <label className="tl-switch">
            <span className="tl-hidden-text">Open: the index stays in the result</span>
            <input
              type="checkbox"
              role="switch"
              checked={isOpen}
              onChange={(event) => store.dispatch(event.target.checked ? "Open index" : "Sum index", [{ kind: "set-output", output: withOpen(document.output, name, event.target.checked) }])}
            />
          </label>
        </Row>
      </Rows>
    </Card>
  );
}

/** The selection follows the index to its new name. */
function rename(name: string, to: string): void {
  if (store.dispatch("Rename index", [{ kind: "rename-index", name, to }])) store.select({ indices: [to] });
}

function Legs({ legs }: { legs: readonly Leg[] }) {
  const shown = legs.slice(0, MOST_LEGS);
  return (
    <span className="tl-legs">
      {shown.map(({ tensor, axis }) => (
        <button
          key={`${tensor.id}-${String(axis)}`}
          type="button"
          className="tl-link"
          title={`Axis ${axis} of ${tensor.name}`}
          onClick={() => store.select({ tensors: [tensor.id] })}
          onPointerEnter={() => store.hover({ tensor: tensor.id })}
          onPointerLeave={() => store.hover(null)}
        >
          <MathText name={tensor.name} /> <small>axis {axis}</small>
        </button>
      ))}
      {legs.length > MOST_LEGS && <small>and {legs.length - MOST_LEGS} more</small>}
    </span>
  );
}
