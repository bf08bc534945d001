/** One job of the list: what it is, how it stands, what it has found, and what can be done with it. */

import { memo } from "react";
import { desk } from "./deskOfPage.ts";
import { type ListedJob, partialWords, slicesOf, standing, valueWords } from "./jobs.ts";
import { isOver } from "./wire.ts";

interface Shown {
  line: ListedJob;
  isShown: boolean;
  canAct: boolean;
}

/** Drawn anew only with its own news: a list may be long, and jobs tell of themselves often. */
export const JobLine = memo(Line, (one, other) => one.line.job === other.line.job && one.line.sent === other.line.sent && one.isShown === other.isShown && one.canAct === other.canAct);

function Line({ line, isShown, canAct }: Shown) {
  const { job, sent } = line;
  const title = job?.title || sent?.document.title || "Untitled";
  return (
    <li className="tl-job" data-state={job?.state ?? "unsent"}>
      <div className="tl-job-head">
        <b>{title}</b>
        <span role="status">{standing(line)}</span>
      </div>
      {job && (job.state === "running" || job.state === "searching") && (
        <div className="tl-bar" role="progressbar" aria-label={`Progress of ${title}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.floor(100 * job.progress.fraction)}>
          <i style={{ width: `${100 * job.progress.fraction}%` }} />
        </div>
      )}
      <p className="tl-quiet">{details(line, isShown)}</p>
      {job?.note && (
        <p className="tl-note" role="status">
          {job.note}
        </p>
      )}
      {job?.error && (
        <p className="tl-note is-wrong">
          {job.error.message} {job.error.hint}
        </p>
      )}
      <div className="tl-buttons">
        {(!job || !isOver(job.state)) && (
          <button type="button" className="tl-button" disabled={!canAct} aria-label={`Cancel ${title}`} onClick={() => void desk().cancel(line)}>
            Cancel
          </button>
        )}
        {sent && !isShown && (
          <button type="button" className="tl-button" aria-label={`Open the drawing of ${title}`} onClick={() => desk().open(line)}>
            Open
          </button>
        )}
        {job?.state === "done" && (
          <button type="button" className="tl-button" disabled={!canAct} aria-label={`Save the value of ${title}`} onClick={() => void desk().save(line)}>
            Save
          </button>
        )}
        {job && isOver(job.state) && (
          <button type="button" className="tl-button" disabled={!canAct} aria-label={`Delete ${title}`} onClick={() => void desk().remove(line)}>
            Delete
          </button>
        )}
      </div>
    </li>
  );
}

function details({ job, sent }: ListedJob, isShown: boolean): string {
  const { text, bound } = job ? valueWords(job) : { text: "", bound: "" };
  const sum = job ? partialWords(job) : "";
  const cut = job && !isOver(job.state) ? slicesOf(job) : "";
  const when = job?.createdAt ?? (sent ? new Date(sent.sentAt).toISOString() : "");
  const time = when && !Number.isNaN(Date.parse(when)) ? `sent ${new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" }).format(new Date(when))}` : "";
  const parts = [
    text && `${text}${bound ? ` ${bound}` : ""}`,
    sum && `sum so far ${sum}`,
    cut,
    job?.resumed ? `resumed ${job.resumed === 1 ? "once" : `${job.resumed} times`}` : "",
    time,
    isShown ? "this drawing" : sent ? "" : "sent from elsewhere",
  ];
  return parts.filter((part) => part !== "").join(" · ");
}
