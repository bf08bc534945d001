/**
 * Numbers as text: thin-spaced digits, true minus signs, powers as superscripts, honest digits.
 *
 * Nothing here rounds for a computation; it only decides how many digits are worth showing.
 */

const THIN = "\u2009";
const MINUS = "\u2212";
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** `12` as `¹²`, `-3` as `⁻³`. */
export function superscript(power: number): string {
  const digits = [...String(Math.abs(power))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return power < 0 ? `⁻${digits}` : digits;
}

/** Groups of three separated by thin spaces: `13952` as `13 952` (the space is thin). */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

/** An exact non-negative integer given as a decimal string; beyond ten digits as a power of ten. */
export function bigCount(decimal: string): string {
  if (decimal.length <= 10) return grouped(decimal);
  const power = decimal.length - 1;
  return `${decimal[0]}.${decimal.slice(1, 3)}${THIN}·${THIN}10${superscript(power)}`;
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"] as const;

/** Bytes given as a decimal string or number, powers of 1000: `9 432` as `9.4 kB`. */
export function bytes(amount: string | number): string {
  let value = Number(amount);
  let unit = 0;
  while (value >= 1000 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (value >= 1000) return `${bigCount(BigInt(Math.round(value)).toString())}${THIN}${BYTE_UNITS[unit]}`;
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)}${THIN}${BYTE_UNITS[unit]}`;
}

/** Milliseconds as the unit a reader expects: `0.38 ms`, `4.2 s`, `6 min`, `3 h`, `12 days`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "for ever";
  // Firefox and WebKit round their clocks to 1 ms.
  if (ms <= 0) return `under 1${THIN}ms`;
  if (ms < 0.01) return `${(ms * 1000).toFixed(1)}${THIN}µs`;
  if (ms < 0.1) return `${(ms * 1000).toFixed(0)}${THIN}µs`;
  if (ms < 10) return `${ms.toFixed(2)}${THIN}ms`;
  if (ms < 1000) return `${ms.toFixed(0)}${THIN}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}${THIN}s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)}${THIN}min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)}${THIN}h`;
  const days = ms / 86_400_000;
  return days < 10_000 ? `${Math.round(days)} days` : `${scientific(days, 2)} days`;
}

/** `4.6·10⁻⁴` with the given number of significant digits. */
export function scientific(value: number, digits: number): string {
  if (value === 0) return "0";
  const [mantissa = "", power = "0"] = Math.abs(value).toExponential(digits - 1).split("e");
  const sign = value < 0 ? MINUS : "";
  const shown = mantissa === "1" ? "" : `${mantissa}·`;
  return `${sign}${shown}10${superscript(Number(power))}`;
}

/**
 * A real number with no more digits than its error bound supports, at most `most` significant ones.
 *
 * @param value the number
 * @param bound absolute error bound; 0 or not finite means unknown
 */
export function measured(value: number, bound: number, most = 8): string {
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value < 0 ? `${MINUS}∞` : "∞";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  const supported = bound > 0 && Number.isFinite(bound) ? size - Math.floor(Math.log10(bound)) + 1 : most;
  const digits = Math.max(1, Math.min(most, supported));
  if (size < -4 || size > 9) return scientific(value, digits);
  const decimals = Math.max(0, digits - 1 - size);
  const [whole = "0", fraction] = Math.abs(value).toFixed(decimals).split(".");
  const sign = value < 0 ? MINUS : "";
  const spaced = fraction?.replace(/(\d{3})(?=\d)/g, `$1${THIN}`);
  return sign + grouped(whole) + (spaced === undefined ? "" : `.${spaced}`);
}

/** `± 2·10⁻¹³`, or nothing where there is no bound worth showing. */
export function plusMinus(bound: number): string {
  if (!(bound > 0) || !Number.isFinite(bound)) return "";
  return `±${THIN}${scientific(bound, 1)}`;
}
