/**
 * How the value was got: who found the order, what it costs, and a button to look for a better one.
 */

import type { PlanJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { Card, Row, Rows } from "./card.tsx";
import { bigCount, bytes } from "./numbers.ts";
import { orderWords, searchWords, slicingWords } from "./orderText.ts";
import { numbersWords } from "./valueText.ts";

export function OrderCard() {
  const plan = useEditor((state) => state.plan);
  if (!plan || plan.steps.length === 0) return null;
  const { title, aside } = orderWords(plan);
  const slicing = slicingWords(plan);
  return (
    <Card title={title} aside={aside} className="tl-order">
      <Rows>
        <Row label="Multiply-adds">{bigCount(plan.mulAdds)}</Row>
        <Row label="Largest intermediate">{numbersWords(plan.largestElements)}</Row>
        <Row label="Peak memory">{bytes(plan.peakBytes)}</Row>
        {slicing && <Row label="Slices">{slicing}</Row>}
      </Rows>
      <Search plan={plan} />
    </Card>
  );
}

function Search({ plan }: { plan: PlanJson }) {
  const search = useEditor((state) => state.search);
  const ready = useEditor((state) => state.ready);
  if (plan.proved && !search?.running) return null;
  const running = search?.running ?? false;
  return (
    <div className="tl-search">
      <button
        type="button"
        className="tl-button"
        disabled={!ready}
        onClick={() => store.request({ kind: "search", action: running ? "stop" : "start" })}
      >
        {running ? "Stop" : "Improve"}
      </button>
      <p className="tl-note" role="status">
        {search ? searchWords(search) : "Looks for a cheaper order in the background and takes it when it comes."}
      </p>
    </div>
  );
}
