/**
 * The site's own fonts as @font-face rules. They belong to the document: a shadow root ignores them.
 *
 * Files lie in `fonts/` beside the bundle. The fallback has Inter's metrics, so nothing jumps when
 * Inter arrives.
 */

interface Face {
  family: string;
  file: string;
  weight: string;
  style?: string;
  range?: string;
}

const LATIN = "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+2000-206F, U+20AC, U+2122, U+2191, U+2193, U+2212, U+2215, U+FEFF, U+FFFD";
const LATIN_EXTENDED = "U+0100-0130, U+0132-0151, U+0154-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+1D00-1DBF, U+1E00-1E9F, U+1EF2-1EFF, U+2070-209F, U+20A0-20AB, U+20AD-20C0, U+2113, U+2C60-2C7F, U+A720-A7FF";
const GREEK = "U+0370-0377, U+037A-037F, U+0384-038A, U+038C, U+038E-03A1, U+03A3-03FF";

const FACES: readonly Face[] = [
  { family: "Inter", file: "inter.woff2", weight: "100 900", range: LATIN },
  { family: "Inter", file: "inter-ext.woff2", weight: "100 900", range: LATIN_EXTENDED },
  { family: "Inter", file: "inter-greek.woff2", weight: "100 900", range: GREEK },
  { family: "KaTeX Math", file: "katex-math-italic.woff2", weight: "400", style: "italic" },
  { family: "KaTeX Main", file: "katex-main.woff2", weight: "400" },
  { family: "KaTeX Main", file: "katex-main-italic.woff2", weight: "400", style: "italic" },
];

/** Inter's ascent, descent and average width over Arial's (and its metric twins on Linux). */
const FALLBACK = `@font-face { font-family: "Inter fallback"; src: local("Arial"), local("Liberation Sans"), local("Arimo");
  ascent-override: 90.49%; descent-override: 22.56%; line-gap-override: 0%; size-adjust: 107.06%; }`;

/** The rules, with file addresses made absolute from `base` (the bundle's own address). */
export function fontRules(base: string): string {
  const rules = FACES.map(({ family, file, weight, style = "normal", range }) => {
    const url = new URL(`./fonts/${file}`, base).href;
    const only = range ? ` unicode-range: ${range};` : "";
    return `@font-face { font-family: "${family}"; font-weight: ${weight}; font-style: ${style}; font-display: swap; src: url("${url}") format("woff2");${only} }`;
  });
  return [...rules, FALLBACK].join("\n");
}

/** Adds the fonts to a document, once. */
export function installFonts(document: Document, base: string): void {
  const marked = document as Document & { tensorloomFonts?: boolean };
  if (marked.tensorloomFonts) return;
  marked.tensorloomFonts = true;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(fontRules(base));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
