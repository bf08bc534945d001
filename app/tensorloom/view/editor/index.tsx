/**
 * The bundle that Panel's `ReactComponent` loads (`view/editor/editor.py`, class `Editor`).
 *
 * Panel 1.9 in bundle mode takes React, createRoot and the component by its class name from the
 * default export, and renders `Editor.render` as a React component with `{ model, view, el }`.
 */

import * as React from "react";
import * as jsx from "react/jsx-runtime";
import { createRoot } from "react-dom/client";
import flowStyles from "@xyflow/react/dist/base.css";
import { App } from "./App.tsx";
import { resumeRemote } from "./chrome/remoteDoor.tsx";
import canvasStyles from "./canvas/canvas.css";
import type { Notice, Request } from "./protocol.ts";
import { start } from "./start.ts";
import { store } from "./store.ts";
import { installFonts } from "./styles/fonts.ts";
import { chromeStyles } from "./styles/sheet.ts";

/** Panel's model as seen from here: parameters, children, messages. */
interface PanelModel {
  opening: string;
  notices: string;
  get_child(name: string): React.ReactNode;
  send_msg(message: string): void;
  on(event: "msg:custom", callback: (notice: Notice) => void): void;
  off(event: "msg:custom", callback: (notice: Notice) => void): void;
}

interface BootStatus {
  message: string;
  fraction: number;
  failed: boolean;
}

/** The static page's start-up (`view/page/boot.ts`); there is none under `panel serve`. */
interface Boot {
  subscribe(listener: (status: BootStatus) => void): () => void;
  mark(name: string): void;
}

/** Code that is loaded later draws with the same React (`remote/pageReact`). */
Object.assign(globalThis, { tensorloomReact: { React, jsx } });

export const workbenchStyles: string = [flowStyles, chromeStyles, canvasStyles].join("\n");

function Workbench({ model, el }: { model: PanelModel; el: HTMLElement }) {
  const inspection = model.get_child("inspection");
  const [shown, setShown] = React.useState(false);

  React.useLayoutEffect(() => {
    // Under `panel serve` the fonts come with the page: there is no address beside the bundle.
    if ("tensorloomBoot" in globalThis) installFonts(globalThis.document, import.meta.url);
    const root = el.getRootNode();
    if (!(root instanceof ShadowRoot) && !(root instanceof Document)) return;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(workbenchStyles);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  }, [el]);

  React.useEffect(() => {
    const { tensorloomBoot: boot } = globalThis as { tensorloomBoot?: Boot };
    const unsubscribe = boot?.subscribe(({ message, fraction, failed }) => store.set({ boot: { message, fraction, failed } }));
    const receive = (notice: Notice) => store.receive(notice);
    model.on("msg:custom", receive);
    void start(store, model).then(() => {
      setShown(true);
      // As text: Bokeh refuses objects with a key such as `constructor`, which an index may be called.
      store.connect((request: Request) => model.send_msg(JSON.stringify(request)));
      boot?.mark("editor");
      resumeRemote();
    });
    return () => {
      unsubscribe?.();
      model.off("msg:custom", receive);
    };
  }, [model]);

  return shown ? <App inspection={inspection} /> : null;
}

export default { React, createRoot, Editor: { render: Workbench } };
