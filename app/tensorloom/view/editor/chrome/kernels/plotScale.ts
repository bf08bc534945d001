/**
 * Scales of small charts: numbers to pixels and the ticks beside them. Pure.
 */

export interface Scale {
  readonly log: boolean;
  readonly from: number;
  readonly to: number;
  /** Pixels of `from` and `to`. */
  readonly start: number;
  readonly end: number;
}

/** A scale that holds all values; linear ones begin at 0 and end at the tick that the largest value reaches. */
export function scaleOf(values: readonly number[], log: boolean, start: number, end: number): Scale {
  const known = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (known.length === 0) return { log, from: log ? 1 : 0, to: log ? 10 : 1, start, end };
  const least = Math.min(...known);
  const most = Math.max(...known);
  if (!log) {
    const from = Math.min(0, least);
    const to = most > 0 ? most : 1;
    // A line above the topmost number would leave its reader to guess.
    const step = linearStep(from, to);
    return { log, from, to: Math.ceil(to / step - 1e-9) * step, start, end };
  }
  const room = most > least ? 1.1 : 2;
  return { log, from: least / room, to: most * room, start, end };
}

/** The pixel of a value; what lies outside is put on the edge. */
export function pixel(scale: Scale, value: number): number {
  const share = scale.log
    ? Math.log(Math.max(value, Number.MIN_VALUE) / scale.from) / Math.log(scale.to / scale.from)
    : (value - scale.from) / (scale.to - scale.from);
  return scale.start + Math.min(1, Math.max(0, share)) * (scale.end - scale.start);
}

/** Round numbers within the scale, about five of them. */
export function ticks(scale: Scale): number[] {
  return scale.log ? logTicks(scale) : linearTicks(scale);
}

function linearStep(from: number, to: number): number {
  const rough = (to - from) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= rough * (1 - 1e-9)) ?? rough;
}

function linearTicks({ from, to }: Pick<Scale, "from" | "to">): number[] {
  const step = linearStep(from, to);
  const first = Math.ceil(from / step - 1e-9);
  const count = Math.floor(to / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, place) => (first + place) * step);
}

function logTicks({ from, to }: Scale): number[] {
  const low = Math.ceil(Math.log10(from) - 1e-9);
  const high = Math.floor(Math.log10(to) + 1e-9);
  const every = Math.max(1, Math.ceil((high - low + 1) / 5));
  const powers: number[] = [];
  for (let power = low; power <= high; power += every) powers.push(10 ** power);
  if (powers.length >= 2) return powers;
  // Less than a decade or two: one, two, five of each.
  const fine: number[] = [];
  for (let power = low - 1; power <= high + 1; power += 1) {
    for (const times of [1, 2, 5]) {
      const value = times * 10 ** power;
      if (value >= from * 0.999 && value <= to * 1.001) fine.push(value);
    }
  }
  // Less than that: round steps, as on a linear scale.
  return fine.length >= 2 ? fine : linearTicks({ from, to });
}

const UNITS: readonly [number, string][] = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** A tick's number in few letters: `2 M`, `0.05`. */
export function tickText(value: number): string {
  const size = Math.abs(value);
  const unit = UNITS.find(([least]) => size >= least * 0.9999);
  const shown = unit ? value / unit[0] : value;
  const text = String(Number(shown.toPrecision(3)));
  return `${text.replace("-", "\u2212")}${unit ? `\u2009${unit[1]}` : ""}`;
}
