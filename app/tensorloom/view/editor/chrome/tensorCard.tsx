/**
 * The selected tensor: name, axes with their dimensions, size, where its numbers come from, its mark.
 */

import type { DocumentJson, TensorJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Card, Row, Rows } from "./card.tsx";
import { DTYPE_WORDS } from "./deviceWords.ts";
import { MarkChooser } from "./markChooser.tsx";
import { MathText } from "./mathText.tsx";
import { NameField } from "./nameField.tsx";
import { bytes } from "./numbers.ts";
import { RecipeChooser } from "./recipeChooser.tsx";
import { elements, recipeWords } from "./recipes.ts";
import { Scrub } from "./scrub.tsx";
import { numbersWords } from "./valueText.ts";

interface TensorCardProps {
  tensor: TensorJson;
  document: DocumentJson;
}

export function TensorCard({ tensor, document }: TensorCardProps) {
  const shape = tensor.indices.map((name) => document.dimensions[name] ?? 1);
  const size = shape.reduce((product, dimension) => product * BigInt(dimension), 1n);
  return (
    <Card title={<>Tensor <MathText name={tensor.name} /></>} aside={recipeWords(tensor.array)}>
      <Rows>
        <Row label="Name">
          <NameField value={tensor.name} label="Name of the tensor" onRename={(name) => store.dispatch("Rename tensor", [{ kind: "rename-tensor", id: tensor.id, name }])} />
        </Row>
        <Row label="Axes">{tensor.indices.length === 0 ? "none, a scalar" : <Axes tensor={tensor} document={document} />}</Row>
        <Row label="Size">
          {numbersWords(size)} <small>{bytes((size * BigInt(DTYPE_WORDS[document.dtype].bytes)).toString())}</small>
        </Row>
      </Rows>
      <RecipeChooser tensor={tensor} shape={elements(shape) > 0 ? shape : []} />
      <MarkChooser ids={[tensor.id]} />
    </Card>
  );
}

function Axes({ tensor, document }: TensorCardProps) {
  const hovered = useEditor((state) => state.hover?.index ?? null);
  return (
    <span className="tl-axes">
      {tensor.indices.map((name, axis) => (
        <span
          // The same index may stand on two axes.
          key={`${name}-${String(axis)}`}
          onPointerEnter={() => store.hover({ index: name })}
          onPointerLeave={() => store.hover(null)}
        >
          <Scrub
            className={name === hovered ? "tl-axis is-hovered" : "tl-axis"}
            label={`Dimension of ${name}`}
            value={document.dimensions[name] ?? 1}
            onChange={(dimension, phase) => store.dispatch("Set dimension", [{ kind: "set-dimension", name, dimension }], phase)}
            onCancel={() => store.cancelGesture()}
          >
            <MathText name={name} />
          </Scrub>
        </span>
      ))}
    </span>
  );
}
