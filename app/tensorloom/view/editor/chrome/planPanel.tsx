/**
 * The plan: which two tensors meet when, and how much memory is alive meanwhile.
 */

import { useEffect, useState } from "react";
import type { PlanJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Row, Rows } from "./card.tsx";
import { CloseIcon, FoldIcon } from "./icons.tsx";
import { bytes, grouped } from "./numbers.ts";
import { PlanDrawing } from "./planDrawing.tsx";
import { bytesDuring, playInterval } from "./planPaths.ts";
import { goToStep } from "./planSteps.ts";
import { powerOfTwo } from "./valueText.ts";

export function PlanPanel() {
  const plan = useEditor((state) => state.plan);
  const folded = useEditor((state) => state.planFolded);
  const isSheet = useEditor((state) => state.sheet === "plan");
  const hasTensors = useEditor((state) => state.document.tensors.length > 0);
  const hasSteps = plan !== null && plan.steps.length > 0;
  return (
    <section className="tl-plan" aria-label="Contraction" data-open={isSheet ? "" : undefined} data-folded={folded && !isSheet ? "" : undefined} data-empty={hasTensors ? undefined : ""}>
      {hasSteps ? <Steps plan={plan} folded={folded && !isSheet} /> : <NoSteps hasTensors={hasTensors} plan={plan} />}
      <button type="button" className="tl-icon-button tl-plan-close" aria-label="Close" onClick={() => store.set({ sheet: null })}>
        <CloseIcon />
      </button>
    </section>
  );
}

function NoSteps({ hasTensors, plan }: { hasTensors: boolean; plan: PlanJson | null }) {
  const words = !hasTensors
    ? "The steps of the contraction appear here once there is something to contract."
    : plan
      ? "One tensor alone: nothing to contract."
      : "The contraction tree is drawn as soon as an order is found.";
  return (
    <div className="tl-plan-facts is-alone">
      <h2>Contraction</h2>
      <p className="tl-note">{words}</p>
    </div>
  );
}

function Steps({ plan, folded }: { plan: PlanJson; folded: boolean }) {
  const touched = useEditor((state) => state.planStep);
  const step = touched ?? plan.steps.length;
  const [playing, setPlaying] = usePlaying(plan, step);
  const nSteps = plan.steps.length;
  return (
    <>
      <div className="tl-plan-facts">
        <div className="tl-plan-head">
          <h2>Contraction</h2>
          <button
            type="button"
            className="tl-icon-button"
            aria-label={folded ? "Unfold the contraction" : "Fold the contraction"}
            aria-expanded={!folded}
            onClick={() => store.set({ planFolded: !folded })}
          >
            <FoldIcon folded={folded} />
          </button>
        </div>
        <Rows>
          <Row label="Step">
            {grouped(String(step))} of {grouped(String(nSteps))}
          </Row>
          <Row label="Width" title="log2 of the largest intermediate, in numbers">
            2<sup>{powerOfTwo(plan.width)}</sup>
          </Row>
          <Row label="Memory now">{bytes(bytesDuring(plan, step))}</Row>
        </Rows>
        <div className="tl-buttons">
          <button type="button" className="tl-button" onClick={() => setPlaying(!playing)}>
            {playing ? "Stop" : "Play"}
          </button>
        </div>
      </div>
      {!folded && <PlanDrawing plan={plan} step={step} untouched={touched === null} />}
    </>
  );
}

/** Plays from the slider's place, or from the start when it stands at the end. */
function usePlaying(plan: PlanJson, step: number): [boolean, (playing: boolean) => void] {
  const [playing, setPlaying] = useState(false);
  useEffect(() => setPlaying(false), [plan]);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setTimeout(() => {
      if (step >= plan.steps.length) setPlaying(false);
      else goToStep(plan, step + 1);
    }, playInterval(plan.steps.length));
    return () => clearTimeout(timer);
  }, [playing, step, plan]);
  return [
    playing,
    (next) => {
      if (next && step >= plan.steps.length) goToStep(plan, 0);
      setPlaying(next);
    },
  ];
}
