import assert from "node:assert/strict";
import { test } from "node:test";
import { frameText } from "../../app/tensorloom/view/editor/chrome/frameText.ts";

test("a title cannot leave its attribute", () => {
  const text = frameText("https://example.org/embed.html#AB-_", 'A "state" & <b>');
  assert.match(text, /^<iframe src="https:\/\/example\.org\/embed\.html#AB-_" title="A &quot;state&quot; &amp; &lt;b&gt;" /);
});
