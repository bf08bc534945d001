/**
 * The value: the second largest thing on the page, always with its error and where it came from.
 *
 * Live, out of date, computing, waiting: each state fills the same four lines (number, bar, words
 * under the bar, rows), so that nothing jumps while a dimension is dragged.
 */

import type { ReactNode } from "react";
import type { PlanJson, ResultJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { BigNumber } from "./bigNumber.tsx";
import { Card, Row, Rows } from "./card.tsx";
import { DTYPE_WORDS, place } from "./deviceWords.ts";
import { bigCount, bytes, duration } from "./numbers.ts";
import { Refusal } from "./refusal.tsx";
import { RemotePart, sendToWorker } from "./remoteDoor.tsx";
import { remaining, sentence, STATE_WORDS, type ValueState, valueState } from "./valueState.ts";
import { durationBar, headline, norm, operations, partialText, slicesWords } from "./valueText.ts";

export function useValueState(): ValueState {
  return useEditor(valueState);
}

/** Computes what is shown, where the user wants it. */
export function run(): void {
  const { backend } = store.get();
  if (backend === "worker") sendToWorker();
  else store.request({ kind: "run", backend, dtype: null });
}

export function ValueCard() {
  const state = useValueState();
  return (
    <Card title="Value" aside={STATE_WORDS[state]} className={`tl-value is-${state}`}>
      <Body state={state} />
      <RemotePart name="News" />
    </Card>
  );
}

function Body({ state }: { state: ValueState }) {
  const result = useEditor((now) => now.result);
  const plan = useEditor((now) => now.plan);
  switch (state) {
    case "empty":
      return <Empty />;
    case "refused":
      return plan?.refused ? <Refusal plan={plan} refused={plan.refused} /> : null;
    case "live":
      return result && <Measured result={result} />;
    case "running":
      return <Pending bar={<Progress />} />;
    case "away":
      return <RemotePart name="Away" />;
    case "stale":
      return <Pending bar={<Stale />} />;
    case "given":
    case "starting":
    case "waiting":
    case "failed":
      return <Pending bar={<Waiting state={state} />} />;
    default:
      return state satisfies never;
  }
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

function Measured({ result }: { result: ResultJson }) {
  const bar = durationBar(result.ms, result.predictedMs);
  return (
    <>
      <BigNumber {...headline(result)} />
      <div className="tl-bar" aria-hidden="true">
        <i style={{ width: `${100 * bar.measured}%` }} />
        <b style={{ left: `${100 * bar.predicted}%` }} />
      </div>
      <div className="tl-ends">
        <span>measured {duration(result.ms)}</span>
        <span>predicted {duration(result.predictedMs)}</span>
      </div>
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

/** No value of this very drawing yet: the last one, faint, and what this one would cost. */
function Pending({ bar }: { bar: ReactNode }) {
  const result = useEditor((now) => now.result);
  const plan = useEditor((now) => now.plan);
  return (
    <>
      {result ? <BigNumber {...headline(result)} /> : <BigNumber text="–" bound="" />}
      {bar}
      {plan && <Expected plan={plan} />}
    </>
  );
}

function Progress() {
  const progress = useEditor((now) => now.progress);
  const partial = useEditor((now) => now.partial);
  if (!progress) return null;
  const part = Math.min(1, Math.max(0, progress.done));
  return (
    <>
      <div className="tl-bar" role="progressbar" aria-label={progress.message} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * part)}>
        <i style={{ width: `${100 * part}%` }} />
      </div>
      <div className="tl-ends">
        <span>
          {partial ? slicesWords(partial) : `${Math.floor(100 * part)}\u2009%`}, {remaining(progress.etaMs, duration)}
        </span>
        <button type="button" className="tl-button" onClick={() => store.request({ kind: "cancel" })}>
          Cancel
        </button>
      </div>
      {partial && (
        <p className="tl-note" role="status">
          Their sum so far, not yet the value: <b>{partialText(partial)}</b>
        </p>
      )}
    </>
  );
}

/** Why there is no newer value, and the way to one. */
function Stale() {
  const stale = useEditor((now) => now.stale);
  // Where a worker is connected, the button says which of the two it takes, and why.
  const isAsking = useEditor((now) => now.remote !== null && now.remote.connection.kind !== "off");
  const partial = useEditor((now) => now.partial);
  return (
    <>
      <div className="tl-bar" aria-hidden="true" />
      <div className="tl-ends">
        <span>{stale}</span>
        {!isAsking && (
          <button type="button" className="tl-link" onClick={run}>
            Compute now
          </button>
        )}
      </div>
      {isAsking && <RemotePart name="RunChoice" />}
      {partial && (
        <p className="tl-note">
          {slicesWords(partial)} had been added up; their sum, which is not the value: <b>{partialText(partial)}</b>
        </p>
      )}
    </>
  );
}

function Waiting({ state }: { state: "given" | "starting" | "waiting" | "failed" }) {
  const boot = useEditor((now) => now.boot);
  const words = {
    given: `This value came with the page. ${sentence(boot.message)} You can draw already.`,
    starting: `${sentence(boot.message)} You can draw already; the number comes as soon as Python answers.`,
    waiting: "Looking for an order to contract in.",
    failed: `${sentence(boot.message)} Your drawing is kept in this browser. Reload the page to try again.`,
  }[state];
  return (
    <>
      <div className="tl-bar" aria-hidden="true" />
      <p className="tl-ends" role="status">
        {words}
      </p>
    </>
  );
}

/** What the run would cost, known before it. */
function Expected({ plan }: { plan: PlanJson }) {
  const dtype = useEditor((now) => now.document.dtype);
  return (
    <Rows>
      <WorkRow mulAdds={plan.mulAdds} complex={DTYPE_WORDS[dtype].complex} />
      <Row label="Peak memory">{bytes(plan.peakBytes)}</Row>
      {plan.predictedMs !== null && <Row label="Predicted">{duration(plan.predictedMs)}</Row>}
    </Rows>
  );
}

function WorkRow({ mulAdds, complex }: { mulAdds: string; complex: boolean }) {
  const { text, each } = operations(mulAdds, complex);
  return (
    <Row label="Multiply-adds" title={`${text}: ${each} for each multiply-add of ${complex ? "complex" : "real"} numbers`}>
      {bigCount(mulAdds)} <small>× {each} FLOP</small>
    </Row>
  );
}
