/**
 * In the value card: where this drawing can be computed and what that takes, the one button that
 * starts it there, how a job of it stands, and word of a job whose drawing was changed meanwhile.
 */

import { BigNumber } from "../chrome/bigNumber.tsx";
import { Row, Rows } from "../chrome/card.tsx";
import { bigCount, bytes, duration } from "../chrome/numbers.ts";
import { useEditor, store } from "../store.ts";
import { shortAddress } from "./address.ts";
import { offers, type Place, PLACE_WORDS, wantedPlace } from "./choice.ts";
import { desk } from "./deskOfPage.ts";
import { leftWords, partialWords, percent, revisionOf, slicesOf, STATE_WORDS, valueWords } from "./jobs.ts";

export function RunChoice() {
  const plan = useEditor((state) => state.plan);
  const remote = useEditor((state) => state.remote);
  const document = useEditor((state) => state.document);
  const backend = useEditor((state) => state.backend);
  if (!remote) return null;
  const { here, worker, best } = offers(plan, remote, revisionOf(document), wantedPlace(backend));
  const other: Place | null = best === "worker" ? (here.fits ? "here" : null) : best === "here" && worker.fits ? "worker" : null;
  return (
    <div className="tl-run-choice" role="group" aria-label="Where to compute">
      <Rows>
        <Row label="Here">{here.words}</Row>
        <Row label="Worker" title={worker.more}>
          {worker.words}
        </Row>
      </Rows>
      {worker.hint && (
        <p className="tl-note" role="status">
          {worker.hint}
        </p>
      )}
      <div className="tl-buttons">
        {best ? (
          <button type="button" className="tl-button is-main" onClick={() => compute(best)}>
            {PLACE_WORDS[best]}
          </button>
        ) : (
          <button type="button" className="tl-button" onClick={() => store.set({ dialog: "worker" })}>
            {remote.connection.kind === "off" ? "Send it to a worker" : "Worker and jobs"}
          </button>
        )}
        {other && (
          <button type="button" className="tl-button is-plain" onClick={() => compute(other)}>
            {PLACE_WORDS[other]}
          </button>
        )}
      </div>
    </div>
  );
}

function compute(place: Place): void {
  if (place === "worker") void desk().submit();
  else {
    const { backend } = store.get();
    const chosen = backend === "worker" ? "auto" : backend;
    store.set({ backend: chosen });
    store.request({ kind: "run", backend: chosen, dtype: null });
  }
}

/** The job that has this drawing in hand. */
export function Away() {
  const remote = useEditor((state) => state.remote);
  const line = remote?.current;
  if (!remote || !line) return null;
  const { job } = line;
  const { fetching } = remote;
  const fraction = job?.state === "running" ? job.progress.fraction : fetching ? fetching.done / fetching.of : 0;
  const sum = job ? partialWords(job) : "";
  const cut = job ? slicesOf(job) : "";
  return (
    <>
      <BigNumber text={sum || "–"} bound="" />
      <div className="tl-bar" role="progressbar" aria-label="Job on the worker" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.floor(100 * fraction)}>
        <i style={{ width: `${100 * fraction}%` }} />
      </div>
      <div className="tl-ends">
        <span role="status">{awayWords(remote, line.job === null)}</span>
        {!fetching && (
          <button type="button" className="tl-button" onClick={() => void desk().cancel(line)}>
            Cancel
          </button>
        )}
      </div>
      {job?.state === "running" && cut && (
        <p className="tl-note" role="status">
          {sum ? `The sum of ${cut}, not yet the value.` : `${cut}.`}
        </p>
      )}
      {job?.note && !fetching && (
        <p className="tl-note" role="status">
          {job.note}
        </p>
      )}
      <Rows>
        {job?.estimate && (
          <>
            <Row label="Multiply-adds">{bigCount(job.estimate.mulAdds)}</Row>
            <Row label="Memory of a process">{bytes(job.estimate.peakBytesPerWorker)}</Row>
            <Row label="Predicted">{duration(job.estimate.predictedMs + job.estimate.searchMs)}</Row>
          </>
        )}
        <Row label="Where">{remote.connection.kind === "off" ? "worker" : `worker, ${shortAddress(remote.connection.address)}`}</Row>
      </Rows>
    </>
  );
}

function awayWords(remote: NonNullable<ReturnType<typeof store.get>["remote"]>, isUnsent: boolean): string {
  const { connection, upload, fetching, held, current } = remote;
  if (fetching) return connection.kind === "on" ? `Fetching the value, ${percent(fetching.done / fetching.of)}` : "The worker does not answer just now; the rest of the value comes when it does.";
  if (connection.kind !== "on") return isUnsent ? "Waits until the worker answers; it is kept here." : "The worker does not answer just now; the job goes on there.";
  if (isUnsent && held) return `Waits: ${held.message}`;
  if (isUnsent) return upload && upload.of > 0 ? `Sending the arrays, ${percent(upload.done / upload.of)}` : "Sending";
  const job = current?.job;
  if (!job) return "Sending";
  if (job.state !== "running") {
    const words = STATE_WORDS[job.state];
    const before = job.state === "queued" && job.queuePosition && job.queuePosition > 1 ? `, ${job.queuePosition - 1} before it` : "";
    return `${words[0]?.toUpperCase()}${words.slice(1)}${before}`;
  }
  return `${percent(job.progress.fraction)}, ${leftWords(job) || "time left not known yet"}`;
}

/** A job is done, but the drawing was changed since it was sent. */
export function News() {
  const news = useEditor((state) => state.remote?.news ?? null);
  const address = useEditor((state) => (state.remote && state.remote.connection.kind !== "off" ? state.remote.connection.address : ""));
  if (!news?.job) return null;
  const { text, bound } = valueWords(news.job);
  return (
    <div className="tl-run-news" role="status">
      <p>
        The job “{news.job.title || "Untitled"}” is done on {shortAddress(address)}: <b>{text}</b> {bound} <span className="tl-quiet">The drawing has changed since it was sent.</span>
      </p>
      <div className="tl-buttons">
        <button type="button" className="tl-button" onClick={() => desk().open(news)}>
          Open its drawing
        </button>
        <button type="button" className="tl-button is-plain" onClick={() => desk().putAside(news)}>
          Put aside
        </button>
      </div>
    </div>
  );
}
