/**
 * Whether the page is dark now: the user's choice, or else the system's.
 */

import { useSyncExternalStore } from "react";
import { useEditor } from "../store.ts";

const query = (): MediaQueryList => globalThis.matchMedia("(prefers-color-scheme: dark)");

function subscribe(listener: () => void): () => void {
  const list = query();
  list.addEventListener("change", listener);
  return () => list.removeEventListener("change", listener);
}

export function useDark(): boolean {
  const theme = useEditor((state) => state.theme);
  const system = useSyncExternalStore(subscribe, () => query().matches);
  return theme === "system" ? system : theme === "dark";
}
