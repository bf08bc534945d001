/**
 * The frame of a small chart: two axes with their words and ticks; what is plotted is the caller's.
 */

import type { ReactNode } from "react";
import { pixel, type Scale, scaleOf, ticks, tickText } from "./plotScale.ts";

export const PLOT = { width: 330, height: 200, left: 56, right: 314, top: 14, bottom: 160 } as const;

export interface Axis {
  words: string;
  values: readonly number[];
  log?: boolean;
}

interface PlotProps {
  /** What the chart shows, for those who cannot see it. */
  label: string;
  x: Axis;
  y: Axis;
  children: (x: (value: number) => number, y: (value: number) => number) => ReactNode;
}

export function Plot({ label, x, y, children }: PlotProps) {
  const across = scaleOf(x.values, x.log ?? false, PLOT.left, PLOT.right);
  const up = scaleOf(y.values, y.log ?? false, PLOT.bottom, PLOT.top);
  return (
    <svg className="tl-plot" viewBox={`0 0 ${PLOT.width} ${PLOT.height}`} role="img" aria-label={label}>
      <Ticks across={across} up={up} />
      <text className="tl-plot-words" x={(PLOT.left + PLOT.right) / 2} y={PLOT.height - 6} textAnchor="middle">
        {x.words}
      </text>
      <text className="tl-plot-words" x={0} y={0} textAnchor="middle" transform={`translate(12 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)`}>
        {y.words}
      </text>
      {children((value) => pixel(across, value), (value) => pixel(up, value))}
    </svg>
  );
}

function Ticks({ across, up }: { across: Scale; up: Scale }) {
  return (
    <g className="tl-plot-ticks">
      {ticks(up).map((value) => (
        <g key={`y${value}`}>
          <line x1={PLOT.left} x2={PLOT.right} y1={pixel(up, value)} y2={pixel(up, value)} />
          <text x={PLOT.left - 6} y={pixel(up, value) + 4} textAnchor="end">
            {tickText(value)}
          </text>
        </g>
      ))}
      {ticks(across).map((value) => (
        <text key={`x${value}`} x={pixel(across, value)} y={PLOT.bottom + 16} textAnchor="middle">
          {tickText(value)}
        </text>
      ))}
      <line className="is-axis" x1={PLOT.left} x2={PLOT.right} y1={PLOT.bottom} y2={PLOT.bottom} />
    </g>
  );
}

/** A path through points; `steps` keeps each value until the next one. */
export function linePath(points: readonly (readonly [number, number])[], x: (value: number) => number, y: (value: number) => number, steps = false): string {
  return points
    .map(([a, b], place) => {
      const at = `${x(a).toFixed(1)} ${y(b).toFixed(1)}`;
      if (place === 0) return `M${at}`;
      return steps ? `H${x(a).toFixed(1)}V${y(b).toFixed(1)}` : `L${at}`;
    })
    .join("");
}
