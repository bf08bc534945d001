/**
 * The value: the second largest thing on the page, always with its error and where it came from.
 */

import type { PlanJson, ResultJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Card, Row, Rows } from "./card.tsx";
import { DTYPE_WORDS, place } from "./deviceWords.ts";
import { bigCount, bytes, duration } from "./numbers.ts";
import { Refusal } from "./refusal.tsx";
import { remaining, sentence, STATE_WORDS, type ValueState, valueState } from "./valueState.ts";
import { durationBar, headline, norm, operations } from "./valueText.ts";

export function useValueState(): ValueState {
  return useEditor(valueState);
}

export function ValueCard() {
  const state = useValueState();
  const result = useEditor((now) => now.result);
  const plan = useEditor((now) => now.plan);
  return (
    <Card title="Value" aside={STATE_WORDS[state]} className={`tl-value is-${state}`}>
      {state === "empty" && <Empty />}
      {state === "refused" && plan?.refused && <Refusal plan={plan} refused={plan.refused} />}
      {state === "running" && <Running />}
      {(state === "live" || state === "stale") && result && <Measured result={result} isStale={state === "stale"} />}
      {state === "stale" && !result && <NotYet plan={plan} />}
      {(state === "starting" || state === "waiting" || state === "failed") && <Waiting state={state} plan={plan} />}
    </Card>
  );
}

function Empty() {
  return (
    <div className="tl-empty">
      <p>Nothing is drawn yet. Double-click the paper for a tensor, type an einsum above, or begin with one of these.</p>
      <div className="tl-buttons">
        <button type="button" className="tl-button" onClick={() => store.set({ dialog: "templates" })}>
          Templates
        </button>
        <button type="button" className="tl-button" onClick={() => store.set({ dialog: "open" })}>
          Open a file
        </button>
      </div>
    </div>
  );
}

function Measured({ result, isStale }: { result: ResultJson; isStale: boolean }) {
  const { text, bound } = headline(result);
  return (
    <>
      <Number text={text} bound={bound} />
      {isStale && <StaleLine />}
      <DurationBar ms={result.ms} predictedMs={result.predictedMs} />
      <Rows>
        {!result.scalar && <Row label="Norm">{norm(result)}</Row>}
        <WorkRow mulAdds={result.mulAdds} complex={DTYPE_WORDS[result.dtype].complex} />
        <Row label="Peak memory">{bytes(result.peakBytes)}</Row>
        <Row label="Where">{place(result.backend, result.dtype)}</Row>
      </Rows>
      {result.notes.map((note) => (
        <p key={note} className="tl-note">
          {note}
        </p>
      ))}
    </>
  );
}

export function Number({ text, bound }: { text: string; bound: string }) {
  const size = text.length > 22 ? "small" : text.length > 13 ? "medium" : "large";
  return (
    <p className="tl-number" data-size={size} aria-live="polite">
      <b>{text}</b> {bound && <span>{bound}</span>}
    </p>
  );
}

/** Why there is no newer value, and the way to one. */
function StaleLine() {
  const stale = useEditor((now) => now.stale);
  return (
    <p className="tl-note">
      {stale && sentence(stale)}{" "}
      <button type="button" className="tl-link" onClick={run}>
        Compute now
      </button>
    </p>
  );
}

/** No value has been computed for any drawing, as this one waits to be asked. */
function NotYet({ plan }: { plan: PlanJson | null }) {
  return (
    <>
      <Pending />
      <StaleLine />
      {plan && <Expected plan={plan} />}
    </>
  );
}

function Pending() {
  return (
    <p className="tl-number is-pending" data-size="large" aria-hidden="true">
      <b>–</b>
    </p>
  );
}

/** What the run would cost, known before it. */
function Expected({ plan }: { plan: PlanJson }) {
  const dtype = useEditor((now) => now.document.dtype);
  return (
    <Rows>
      {plan.predictedMs !== null && <Row label="Would take about">{duration(plan.predictedMs)}</Row>}
      <WorkRow mulAdds={plan.mulAdds} complex={DTYPE_WORDS[dtype].complex} />
      <Row label="Peak memory">{bytes(plan.peakBytes)}</Row>
    </Rows>
  );
}

export function run(): void {
  store.request({ kind: "run", backend: store.get().backend, dtype: null });
}

function DurationBar({ ms, predictedMs }: { ms: number; predictedMs: number }) {
  const bar = durationBar(ms, predictedMs);
  return (
    <div className="tl-duration">
      <div className="tl-bar" aria-hidden="true">
        <i style={{ width: `${100 * bar.measured}%` }} />
        <b style={{ left: `${100 * bar.predicted}%` }} />
      </div>
      <div className="tl-ends">
        <span>measured {duration(ms)}</span>
        <span>predicted {duration(predictedMs)}</span>
      </div>
    </div>
  );
}

export function WorkRow({ mulAdds, complex }: { mulAdds: string; complex: boolean }) {
  const { text, each } = operations(mulAdds, complex);
  return (
    <Row label="Multiply-adds" title={`${text}: ${each} for each multiply-add of ${complex ? "complex" : "real"} numbers`}>
      {bigCount(mulAdds)} <small>× {each} FLOP</small>
    </Row>
  );
}

function Running() {
  const progress = useEditor((now) => now.progress);
  if (!progress) return null;
  const part = Math.min(1, Math.max(0, progress.done));
  return (
    <div className="tl-running">
      <p className="tl-number" data-size="large">
        <b>{Math.floor(100 * part)}&#8201;%</b> <span>{remaining(progress.etaMs, duration)}</span>
      </p>
      <div className="tl-bar" role="progressbar" aria-label="Contraction" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * part)}>
        <i style={{ width: `${100 * part}%` }} />
      </div>
      <div className="tl-ends">
        <span>{progress.message}</span>
        <button type="button" className="tl-button" onClick={() => store.request({ kind: "cancel" })}>
          Cancel
        </button>
      </div>
    </div>
  );
}

function Waiting({ state, plan }: { state: "starting" | "waiting" | "failed"; plan: PlanJson | null }) {
  const boot = useEditor((now) => now.boot);
  const words = {
    starting: `${sentence(boot.message)} You can draw already; the number comes as soon as Python answers.`,
    waiting: "Looking for an order to contract in.",
    failed: `${sentence(boot.message)} Your drawing is kept in this browser. Reload the page to try again.`,
  }[state];
  return (
    <>
      <Pending />
      <p className="tl-note" role="status">
        {words}
      </p>
      {plan && <Expected plan={plan} />}
    </>
  );
}
