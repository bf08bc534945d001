/**
 * How a kernel was chosen: candidates by predicted and measured time, and the best so far over time.
 */

import { useState } from "react";
import type { CandidateJson, KernelShapeJson } from "../../protocol.ts";
import { duration } from "../numbers.ts";
import { CandidateLegend } from "./candidateLegend.tsx";
import { STATE_WORDS } from "./kernelFacts.ts";
import { linePath, Plot } from "./plot.tsx";

type Timed = CandidateJson & { ms: number };
type Predicted = Timed & { predictedMs: number };

export function TuningCharts({ shape }: { shape: KernelShapeJson }) {
  const [pointed, setPointed] = useState<string | null>(null);
  if (shape.candidates.length === 0) return <p className="tl-note">{shape.note || "No candidate of this kernel has been timed yet. That happens in quiet moments after a result."}</p>;
  return (
    <>
      {shape.note && <p className="tl-note">{shape.note} These were timed for when it runs by itself.</p>}
      <div className="tl-figures">
        <CandidateChart shape={shape} pointed={pointed} onPoint={setPointed} />
        <BestSoFar shape={shape} />
      </div>
      <CandidateTable shape={shape} pointed={pointed} onPoint={setPointed} />
      <CandidateLegend texts={shape.candidates.map(({ text }) => text)} backend={shape.backend} />
    </>
  );
}

interface Pointing {
  shape: KernelShapeJson;
  pointed: string | null;
  onPoint: (text: string | null) => void;
}

function CandidateChart({ shape, pointed, onPoint }: Pointing) {
  const timed = shape.candidates.filter((one): one is Timed => one.ms !== null).sort((a, b) => a.ms - b.ms);
  if (timed.length === 0) return null;
  const predicted = timed.filter((one): one is Predicted => one.predictedMs !== null);
  const unit = Math.max(...timed.map(({ ms }) => ms)) < 0.1 ? { name: "µs", perMs: 1000 } : { name: "ms", perMs: 1 };
  const both = predicted.flatMap(({ predictedMs, ms }) => [unit.perMs * predictedMs, unit.perMs * ms]);
  // GPU kernels are ruled in or out, not predicted: there the order of speed is what can be shown.
  const isPredicted = predicted.length > 0;
  const dots = isPredicted ? predicted.map((one) => ({ one, at: unit.perMs * one.predictedMs })) : timed.map((one, place) => ({ one, at: place + 1 }));
  const x = isPredicted ? { words: `predicted time [${unit.name}]`, values: both, log: true } : { words: "candidates, the fastest first", values: dots.map(({ at }) => at) };
  return (
    <figure>
      <h3>Candidates</h3>
      <Plot
        label={`${dots.length} candidates by ${isPredicted ? "predicted and " : ""}measured time`}
        x={x}
        y={{ words: `measured time [${unit.name}]`, values: isPredicted ? both : timed.map(({ ms }) => unit.perMs * ms), log: isPredicted }}
      >
        {(across, up) => (
          <>
            {isPredicted && <path className="tl-plot-guide" d={linePath([[Math.min(...both), Math.min(...both)], [Math.max(...both), Math.max(...both)]], across, up)} />}
            {dots.map(({ one, at }) => (
              <circle
                key={one.text}
                className="tl-plot-dot"
                data-state={one.state}
                data-pointed={one.text === pointed ? "" : undefined}
                cx={across(at)}
                cy={up(unit.perMs * one.ms)}
                r={one.state === "best" ? 6 : 4.5}
                onPointerEnter={() => onPoint(one.text)}
                onPointerLeave={() => onPoint(null)}
              >
                <title>{`${one.text}: ${duration(one.ms)}${one.predictedMs === null ? "" : `, predicted ${duration(one.predictedMs)}`}`}</title>
              </circle>
            ))}
          </>
        )}
      </Plot>
      <figcaption>
        Each dot is one way to generate this kernel; the filled one is the fastest.
        {isPredicted && " On the line the prediction was right; below it the kernel was faster than predicted."}
      </figcaption>
    </figure>
  );
}

function BestSoFar({ shape }: { shape: KernelShapeJson }) {
  if (shape.history.length === 0) return null;
  const last = shape.history.at(-1) as [number, number];
  const end: [number, number] = [Math.max(last[0] * 1.1, last[0] + 1), last[1]];
  const points: [number, number][] = [...shape.history, end];
  return (
    <figure>
      <h3>Best so far</h3>
      <Plot label="Best speed so far against tuning time" x={{ words: "tuning time [ms]", values: points.map(([ms]) => ms) }} y={{ words: "best so far [GFLOP/s]", values: points.map(([, gflops]) => gflops) }}>
        {(x, y) => (
          <>
            <path className="tl-plot-line" d={linePath(points, x, y, true)} />
            {shape.history.map(([ms, gflops]) => (
              <circle key={ms} className="tl-plot-dot" data-state={ms === last[0] ? "best" : "measured"} cx={x(ms)} cy={y(gflops)} r={4} />
            ))}
          </>
        )}
      </Plot>
      <figcaption>
        A dot for each time that a faster kernel was found, the last after {duration(last[0])} of tuning. Results kept coming meanwhile, each with the best kernel known then.
      </figcaption>
    </figure>
  );
}

const ORDER: readonly CandidateJson["state"][] = ["best", "measured", "waiting", "failed", "cut"];

function CandidateTable({ shape, pointed, onPoint }: Pointing) {
  const ordered = [...shape.candidates].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.ms ?? Infinity) - (b.ms ?? Infinity));
  return (
    <div className="tl-wide">
      <table className="tl-candidates">
        <thead>
          <tr>
            <th scope="col">candidate</th>
            <th scope="col">predicted</th>
            <th scope="col">measured</th>
            <th scope="col">GFLOP/s</th>
            <th scope="col">state</th>
          </tr>
        </thead>
        <tbody>
          {ordered.map((one) => (
            <tr key={one.text} data-state={one.state} data-pointed={one.text === pointed ? "" : undefined} onPointerEnter={() => onPoint(one.text)} onPointerLeave={() => onPoint(null)}>
              <th scope="row">{one.text}</th>
              <td>{one.predictedMs === null ? "–" : duration(one.predictedMs)}</td>
              <td>{one.ms === null ? "–" : duration(one.ms)}</td>
              <td>{one.gflops === null ? "–" : one.gflops.toPrecision(3)}</td>
              <td>
                {one.text === shape.inUse && one.state !== "best" ? "in use" : STATE_WORDS[one.state]}
                {one.reason && <small>{one.reason}</small>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
