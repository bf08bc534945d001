/**
 * A tensor's mark at the size of a letter, for the tree and the gallery.
 */

import type { MarkColour, MarkShape } from "../protocol.ts";

interface SmallMarkProps {
  shape: MarkShape;
  colour: MarkColour;
  x: number;
  y: number;
  /** Radius of the circle; the other shapes have about its area. */
  size?: number;
  isSelected?: boolean;
}

export function SmallMark({ shape, colour, x, y, size = 6, isSelected = false }: SmallMarkProps) {
  const common = { className: isSelected ? "tl-leaf is-selected" : "tl-leaf", "data-colour": colour };
  const side = 0.93 * size;
  switch (shape) {
    case "square":
      return <rect {...common} x={x - side} y={y - side} width={2 * side} height={2 * side} rx={0.4 * size} />;
    case "triangle-right":
      return <path {...common} d={`M${x - 0.83 * size},${y - size}v${2 * size}l${1.75 * size},${-size}z`} />;
    case "triangle-left":
      return <path {...common} d={`M${x + 0.83 * size},${y - size}v${2 * size}l${-1.75 * size},${-size}z`} />;
    case "diamond":
      return <path {...common} d={`M${x - 1.08 * size},${y}L${x},${y - 1.08 * size}L${x + 1.08 * size},${y}L${x},${y + 1.08 * size}z`} />;
    case "dot":
      return <circle {...common} cx={x} cy={y} r={0.57 * size} />;
    case "circle":
    case "none":
      return <circle {...common} cx={x} cy={y} r={size} />;
    default:
      return shape satisfies never;
  }
}
