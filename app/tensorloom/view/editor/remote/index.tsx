/**
 * All of the page that speaks with heavy workers; a bundle of its own, loaded when it is wanted.
 *
 * It shares store and React with the editor's bundle (`pageReact`), and brings its own styles.
 */

import { store } from "../store.ts";
import { whereSentence } from "./choice.ts";
import { type PythonCalls, RemoteDesk } from "./desk.ts";
import styles from "./remote.css";
import { Away, News, RunChoice } from "./runChoice.tsx";
import { WorkerDialog } from "./workerDialog.tsx";

const holder = globalThis as { tensorloomBoot?: PythonCalls; tensorloomDesk?: RemoteDesk };
const nobody: PythonCalls = { call: () => Promise.reject(new Error("There is no Python on this page.")) };
/** One desk per page, as there is one store. */
holder.tensorloomDesk ??= new RemoteDesk(store, holder.tensorloomBoot ?? nobody);
export const desk: RemoteDesk = holder.tensorloomDesk;

/** The workbench lives in a shadow root; where that is, the styles go. */
function dress(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  const roots: (Document | ShadowRoot)[] = [document];
  for (const root of roots) {
    if (root.querySelector(".tl-app")) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    for (const element of root.querySelectorAll("*")) if (element.shadowRoot) roots.push(element.shadowRoot);
  }
}
dress();

export { Away, News, RunChoice, whereSentence, WorkerDialog };

export interface RemoteModule {
  desk: RemoteDesk;
  whereSentence: typeof whereSentence;
  WorkerDialog: () => JSX.Element;
  RunChoice: () => JSX.Element | null;
  Away: () => JSX.Element | null;
  News: () => JSX.Element | null;
}
