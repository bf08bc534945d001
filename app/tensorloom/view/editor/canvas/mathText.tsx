/** A name set as mathematics in SVG: italic base, upright subscript, a drawn overline. */

import { mathName, nameWidth } from "./mathName.ts";

interface MathTextProps {
  name: string;
  x: number;
  y: number;
  size: number;
  /** Longest width [px]; a longer name is set smaller. */
  most?: number;
  className?: string;
}

export function MathText({ name, x, y, size, most = Infinity, className = "" }: MathTextProps) {
  const parts = mathName(name);
  const asked = parts.word ? size * 0.72 : size;
  const wide = nameWidth(parts, asked);
  const set = wide > most ? Math.max(7, (asked * most) / wide) : asked;
  const width = nameWidth(parts, set);
  const baseWidth = width - [...parts.subscript].length * 0.36 * set;
  const bar = { from: x - width / 2 + set * 0.1, to: x - width / 2 + baseWidth + set * 0.04, y: y - set * 0.46 };
  return (
    <g className={`tl-math ${className}`}>
      <text x={x} y={y + set * 0.33} textAnchor="middle" fontSize={set} className={parts.word ? "is-word" : ""}>
        {parts.base}
        {parts.subscript && (
          <tspan className="tl-subscript" dy={set * 0.16} fontSize={set * 0.68}>
            {parts.subscript}
          </tspan>
        )}
      </text>
      {parts.conjugate && <line className="tl-overline" x1={bar.from} x2={bar.to} y1={bar.y} y2={bar.y} />}
    </g>
  );
}
