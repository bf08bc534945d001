/**
 * The workbench without Python, for tests of the canvas: a stand-in acknowledges every request.
 *
 * `window.harness` gives tests the store, what was asked of Python, and a way to open a document.
 * With `?start` in the address the page begins as the real one does: link, draft or example.
 */

import flowStyles from "@xyflow/react/dist/base.css";
import { createRoot } from "react-dom/client";
import { App } from "../../../app/tensorloom/view/editor/App.tsx";
import canvasStyles from "../../../app/tensorloom/view/editor/canvas/canvas.css";
import type { DocumentJson, Notice, Request } from "../../../app/tensorloom/view/editor/protocol.ts";
import { start } from "../../../app/tensorloom/view/editor/start.ts";
import { store } from "../../../app/tensorloom/view/editor/store.ts";
import { installFonts } from "../../../app/tensorloom/view/editor/styles/fonts.ts";
import { chromeStyles } from "../../../app/tensorloom/view/editor/styles/sheet.ts";

const requests: Request[] = [];

const host = document.getElementById("host");
if (!host) throw new Error("The harness page has no place for the workbench.");
const shadow = host.attachShadow({ mode: "open" });
const sheet = new CSSStyleSheet();
sheet.replaceSync([flowStyles, chromeStyles, canvasStyles].join("\n"));
shadow.adoptedStyleSheets = [sheet];
installFonts(document, import.meta.url);
const place = document.createElement("div");
place.style.display = "contents";
shadow.append(place);

Object.assign(globalThis, {
  harness: {
    store,
    requests,
    open: (opened: DocumentJson) => store.open(opened),
    receive: (notice: Notice) => store.receive(notice),
    document: () => store.get().document,
  },
});

if (location.search === "?start") {
  const array = { kind: "constant", value: 1 } as const;
  const example: DocumentJson = {
    tensorloom: 1, title: "Example", dtype: "float64", tensors: [{ id: "t1", name: "E", indices: ["i"], array }],
    dimensions: { i: 3 }, output: ["i"], marks: { t1: { x: 0, y: 0, shape: "circle", colour: "blue" } }, anchors: {},
  };
  await start(store, { opening: JSON.stringify(example), notices: "[]" });
}

store.connect((request) => {
  requests.push(request);
  queueMicrotask(() => store.receive({ kind: "ack", seq: request.seq, behind: false }));
});
store.receive({ kind: "ready", seq: 1, device: { sentence: "Runs on this CPU, 64-bit", backends: [], replaced: [] } });
createRoot(place).render(<App />);
