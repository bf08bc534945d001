import assert from "node:assert/strict";
import { test } from "node:test";
import { fontRules } from "../../app/tensorloom/view/editor/styles/fonts.ts";
import tokens from "../../app/tensorloom/view/editor/styles/tokens.css";

/** WCAG 2.2 relative luminance of `#rrggbb`. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function token(name: string): [string, string] {
  const found = new RegExp(`--tl-${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(tokens);
  assert.ok(found?.[1] && found[2], `token ${name}`);
  return [found[1], found[2]];
}

const TEXTS = ["ink", "soft", "faint", "accent", "warm-text"];
const GROUNDS = ["paper", "panel"];

test("text is never below 4.5 on paper and panel, light and dark", () => {
  for (const text of TEXTS) {
    for (const ground of GROUNDS) {
      for (const mode of [0, 1] as const) {
        const ratio = contrast(token(text)[mode], token(ground)[mode]);
        assert.ok(ratio >= 4.5, `${text} on ${ground}, ${mode === 0 ? "light" : "dark"}: ${ratio.toFixed(2)}`);
      }
    }
  }
});

test("text on its own grounds: filled button, selected chip, hovered row", () => {
  for (const [text, ground] of [["on-accent", "accent"], ["accent", "accent-behind"], ["soft", "hover"], ["soft", "accent-behind"]] as const) {
    for (const mode of [0, 1] as const) {
      const ratio = contrast(token(text)[mode], token(ground)[mode]);
      assert.ok(ratio >= 4.5, `${text} on ${ground}, mode ${mode}: ${ratio.toFixed(2)}`);
    }
  }
});

test("strokes that carry meaning reach 3", () => {
  for (const line of ["warm", "bond", "blue-line", "amber-line", "rose-line", "green-line"]) {
    for (const mode of [0, 1] as const) assert.ok(contrast(token(line)[mode], token("paper")[mode]) >= 3, line);
  }
});

test("the measure itself: black on white is 21, equal colours are 1", () => {
  assert.ok(Math.abs(contrast("#000000", "#ffffff") - 21) < 1e-9);
  assert.equal(contrast("#777777", "#777777"), 1);
});

test("fonts come from beside the bundle", () => {
  const rules = fontRules("https://loom.example/sub/app-12ab/editor.js");
  assert.ok(rules.includes('url("https://loom.example/sub/app-12ab/fonts/inter.woff2")'));
  assert.equal(rules.match(/url\(/g)?.length, 6);
});
