/**
 * Where a tensor's numbers come from: the kind of recipe and its few fields.
 */

import { useState } from "react";
import type { RecipeJson, TensorJson } from "../protocol.ts";
import { store } from "../store.ts";
import { DTYPE_WORDS } from "./deviceWords.ts";
import { gatesFor, gateWords } from "./gateTable.ts";
import { pickFiles } from "./openFile.ts";
import { freshRecipe, type GateRecipe, obstacle, readNumbers, RECIPE_WORDS, type RecipeKind, withGate, writeNumbers } from "./recipes.ts";

const KINDS = Object.keys(RECIPE_WORDS) as RecipeKind[];

interface ChooserProps {
  tensor: TensorJson;
  shape: readonly number[];
}

export function RecipeChooser({ tensor, shape }: ChooserProps) {
  const set = (array: RecipeJson) => store.dispatch("Set values", [{ kind: "set-array", id: tensor.id, array }]);
  const choose = (kind: RecipeKind) => {
    if (kind === "blob") {
      void pickFiles(tensor.id, ".npy,.npz");
      return;
    }
    const { dtype } = store.get().document;
    const fresh = freshRecipe(kind, shape, DTYPE_WORDS[dtype].complex, newSeed());
    if (fresh) set(fresh);
  };
  return (
    <div className="tl-recipe">
      <label className="tl-labelled">
        <span>Values</span>
        <select className="tl-field" aria-label="Where the values come from" value={tensor.array.kind} onKeyDown={(event) => event.stopPropagation()} onChange={(event) => choose(event.target.value as RecipeKind)}>
          {KINDS.map((kind) => {
            const why = obstacle(kind, shape);
            return (
              <option key={kind} value={kind} disabled={why !== null && kind !== tensor.array.kind}>
                {RECIPE_WORDS[kind]}
                {why === null ? "" : ` (${why})`}
              </option>
            );
          })}
        </select>
      </label>
      <RecipeFields recipe={tensor.array} shape={shape} onChange={set} onFile={() => choose("blob")} />
    </div>
  );
}

/** Seeds are small so that they can be read aloud and typed again. */
const newSeed = (): number => Math.floor(Math.random() * 10_000);

interface FieldsProps {
  recipe: RecipeJson;
  shape: readonly number[];
  onChange: (recipe: RecipeJson) => void;
  onFile: () => void;
}

function RecipeFields({ recipe, shape, onChange, onFile }: FieldsProps) {
  switch (recipe.kind) {
    case "random":
      return (
        <div className="tl-recipe-fields">
          <NumberField label="Seed" value={recipe.seed} whole onChange={(seed) => onChange({ ...recipe, seed })} />
          <select className="tl-field" aria-label="Distribution" value={recipe.distribution} onKeyDown={(event) => event.stopPropagation()} onChange={(event) => onChange({ ...recipe, distribution: event.target.value as typeof recipe.distribution })}>
            <option value="normal">normal</option>
            <option value="uniform">uniform, 0 to 1</option>
            <option value="complex-normal">complex normal</option>
          </select>
          <button type="button" className="tl-button" title="New random values" onClick={() => onChange({ ...recipe, seed: newSeed() })}>
            New
          </button>
        </div>
      );
    case "constant":
      return (
        <div className="tl-recipe-fields">
          <NumberField label="Everywhere" value={recipe.value} onChange={(value) => onChange({ ...recipe, value })} />
        </div>
      );
    case "gate":
      return <GateFields recipe={recipe} shape={shape} onChange={onChange} />;
    case "inline":
      return <TypedNumbers recipe={recipe} shape={shape} onChange={onChange} />;
    case "blob":
      return (
        <div className="tl-recipe-fields">
          <span className="tl-quiet">{recipe.shape.join(" × ") || "scalar"}, {DTYPE_WORDS[recipe.dtype].short}</span>
          <button type="button" className="tl-button" onClick={onFile}>
            Other file
          </button>
        </div>
      );
    case "identity":
    case "copy":
      return null;
    default:
      return recipe satisfies never;
  }
}

function GateFields({ recipe, shape, onChange }: Omit<FieldsProps, "onFile" | "recipe"> & { recipe: GateRecipe }) {
  const gates = gatesFor(shape);
  const chosen = gateWords(recipe.name, recipe.controls ?? 0);
  const choices = new Map(gates.map((gate) => [gateWords(gate.name, gate.controls), gate]));
  const choose = (words: string) => {
    const gate = choices.get(words);
    if (gate) onChange(withGate(recipe, gate));
  };
  return (
    <div className="tl-recipe-fields">
      <select className="tl-field" aria-label="Gate" value={chosen} onKeyDown={(event) => event.stopPropagation()} onChange={(event) => choose(event.target.value)}>
        {!choices.has(chosen) && <option value={chosen}>{chosen}</option>}
        {[...choices.keys()].map((words) => (
          <option key={words} value={words}>
            {words}
          </option>
        ))}
      </select>
      {recipe.parameters.map((angle, order) => (
        <NumberField
          // The angles of a gate are told apart by their place only.
          key={`${recipe.name}-${String(order)}`}
          label={`Angle ${order + 1}`}
          value={angle}
          onChange={(value) => onChange({ ...recipe, parameters: recipe.parameters.map((old, at) => (at === order ? value : old)) })}
        />
      ))}
      <label className="tl-switch">
        <input type="checkbox" role="switch" checked={recipe.conjugate} onChange={(event) => onChange({ ...recipe, conjugate: event.target.checked })} />
        Conjugate
      </label>
    </div>
  );
}

interface NumberFieldProps {
  label: string;
  value: number;
  whole?: boolean;
  onChange: (value: number) => void;
}

export function NumberField({ label, value, whole = false, onChange }: NumberFieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const number = typed === null ? value : Number(typed.replaceAll("−", "-"));
  const good = typed === null || (typed.trim() !== "" && Number.isFinite(number) && (!whole || (Number.isInteger(number) && number >= 0)));
  const finish = () => {
    if (good && typed !== null && number !== value) onChange(number);
    setTyped(null);
  };
  return (
    <input
      className="tl-field tl-number-field"
      aria-label={label}
      title={label}
      inputMode={whole ? "numeric" : "decimal"}
      aria-invalid={!good}
      value={typed ?? String(value)}
      onChange={(event) => setTyped(event.target.value)}
      onBlur={finish}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish();
        if (event.key === "Escape") setTyped(null);
      }}
    />
  );
}

function TypedNumbers({ recipe, shape, onChange }: Omit<FieldsProps, "onFile" | "recipe"> & { recipe: Extract<RecipeJson, { kind: "inline" }> }) {
  const [typed, setTyped] = useState<string | null>(null);
  const read = typed === null ? null : readNumbers(typed, shape);
  const wrong = typeof read === "string" ? read : null;
  return (
    <div className="tl-typed-numbers">
      <textarea
        className="tl-field"
        aria-label="Numbers in C order"
        aria-invalid={wrong !== null}
        rows={Math.min(6, Math.max(2, shape.length > 1 ? (shape.at(-2) ?? 2) : 2))}
        spellCheck={false}
        value={typed ?? writeNumbers(recipe)}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape") setTyped(null);
        }}
        onBlur={() => {
          if (read === null || typeof read === "string") return;
          onChange(read);
          setTyped(null);
        }}
      />
      <small className={wrong ? "is-wrong" : ""} role="status">
        {wrong ?? "In C order, the last axis fastest. Complex as 1-2i."}
      </small>
    </div>
  );
}
