/**
 * Look inside: the picture that Python draws of the selected tensor or of the result, and which of
 * its indices are rows, columns or held. The slot is Python's; it stays mounted while the page lives.
 */

import { useEffect } from "react";
import type { Notice } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Choice } from "./choice.tsx";
import { DTYPE_WORDS } from "./deviceWords.ts";
import { type Role, roleOf, type View, withRole, within, withValue } from "./inspectionAxes.ts";
import { MathText } from "./mathText.tsx";
import { elements as elementsOf } from "./recipes.ts";
import { useDark } from "./useDark.ts";

/** Making a larger array only to look at it would take longer than anyone watches. */
const MOST_NUMBERS = 2 ** 22;

type Inspection = Extract<Notice, { kind: "inspection" }>;

/** The tensor to look into, null for the result, undefined where there is nothing to see. */
function useTarget(): string | null | undefined {
  return useEditor((state) => {
    const { tensors, indices } = state.selection;
    if (tensors.size === 1) return [...tensors][0];
    if (tensors.size > 0 || indices.size > 0 || state.plan?.refused) return undefined;
    const { result, document } = state;
    // After another drawing was opened, the old result stays for a moment; it is not this one's.
    const isThis = result !== null && result.indices.join() === document.output.join();
    return isThis && !result.scalar ? null : undefined;
  });
}

export function InspectionCard() {
  const target = useTarget();
  const ready = useEditor((state) => state.ready);
  const tensor = useEditor((state) => state.document.tensors.find((one) => one.id === target));
  const inspection = useEditor((state) => state.inspection);
  const dark = useDark();

  const tooLarge = useEditor((state) => elementsOf(target === null ? (state.result?.shape ?? []) : (tensor?.indices ?? []).map((name) => state.document.dimensions[name] ?? 1)) > MOST_NUMBERS);
  const shown = !tooLarge && target !== undefined && inspection?.tensor === target ? inspection : null;

  // A new target asks for Python's own choice of rows and columns; otherwise the user's stays. When
  // a new value arrives, Python shows the same view of it by itself.
  const size = useEditor((state) => tensor?.indices.map((name) => `${name}:${String(state.document.dimensions[name])}`).join());
  useEffect(() => {
    if (!ready || target === undefined || tooLarge) return;
    const now = store.get();
    const kept = now.inspection?.tensor === target ? within(now.inspection, now.document.dimensions) : { rows: [], columns: [], fixed: {} };
    store.request({ kind: "inspect", tensor: target, rows: kept.rows, columns: kept.columns, fixed: kept.fixed, dark });
  }, [ready, target, dark, tensor?.array, size, tooLarge]);

  return (
    <section className="tl-card tl-inspection" data-of={target === null ? "result" : "tensor"} aria-label={shown?.title ?? "Look inside"} hidden={target === undefined}>
      <h2 className="tl-hidden-text">{target === null ? "Inside the result" : `Inside ${tensor?.name ?? ""}`}</h2>
      <div className="tl-inspection-slot" data-tensorloom-slot="inspection" hidden={tooLarge} />
      {shown && <Caption inspection={shown} />}
      {shown && shown.indices.length > 2 && <AxisRoles inspection={shown} dark={dark} />}
      {!shown && <p className="tl-note">{waitingWords(ready, tooLarge)}</p>}
    </section>
  );
}

function waitingWords(ready: boolean, tooLarge: boolean): string {
  if (tooLarge) return "Too many numbers to look into here.";
  return ready ? "Drawing the numbers." : "The numbers are drawn as soon as Python answers.";
}

function Caption({ inspection }: { inspection: Inspection }) {
  const isComplex = useEditor((state) => DTYPE_WORDS[(inspection.tensor === null ? state.result : state.document)?.dtype ?? "float64"].complex);
  const names = (list: readonly string[]) => list.map((name) => <MathText key={name} name={name} />);
  return (
    <p className="tl-ends tl-caption">
      <span>
        {inspection.rows.length > 0 && <>rows {names(inspection.rows)}</>}
        {inspection.rows.length > 0 && inspection.columns.length > 0 && ", "}
        {inspection.columns.length > 0 && <>columns {names(inspection.columns)}</>}
      </span>
      <span>{inspection.note || (isComplex ? "phase and size" : "sign and size")}</span>
    </p>
  );
}

const ROLES: readonly { value: Role; label: string }[] = [
  { value: "rows", label: "rows" },
  { value: "columns", label: "columns" },
  { value: "fixed", label: "held" },
];

function AxisRoles({ inspection, dark }: { inspection: Inspection; dark: boolean }) {
  const show = (view: View) => store.request({ kind: "inspect", tensor: inspection.tensor, rows: view.rows, columns: view.columns, fixed: view.fixed, dark });
  const sizes = new Map(inspection.indices.map((name, axis) => [name, inspection.shape[axis] ?? 1]));
  return (
    <ul className="tl-roles" aria-label="Rows, columns and held indices">
      {[...sizes].map(([name, size]) => {
        const role = roleOf(inspection, name);
        const value = inspection.fixed[name] ?? 0;
        return (
          <li key={name}>
            <MathText name={name} />
            <Choice label={`Role of ${name}`} value={role} options={ROLES} onChange={(next) => show(withRole(inspection, name, next))} />
            {role === "fixed" && (
              <label className="tl-held">
                <input
                  type="range"
                  min={0}
                  max={size - 1}
                  value={value}
                  aria-label={`Value at which ${name} is held`}
                  onKeyDown={(event) => event.stopPropagation()}
                  onChange={(event) => show(withValue(inspection, name, Number(event.target.value)))}
                />
                <output>{value}</output>
              </label>
            )}
          </li>
        );
      })}
    </ul>
  );
}
