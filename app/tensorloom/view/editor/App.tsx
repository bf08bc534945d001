/** The workbench: the regions of the page and what is in them. `styles/regions.css` places them. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { Canvas } from "./canvas/canvas.tsx";
import { Dialogs } from "./chrome/dialogs.tsx";
import { FormulaBar } from "./chrome/formulaBar.tsx";
import { Header } from "./chrome/header.tsx";
import { PlanPanel } from "./chrome/planPanel.tsx";
import { Rail } from "./chrome/rail.tsx";
import { SidePanel } from "./chrome/sidePanel.tsx";
import { Toasts } from "./chrome/toasts.tsx";
import { useEditor } from "./store.ts";

/** @param inspection Python's picture of what is looked into; it goes into the side panel's slot */
export function App({ inspection }: { inspection?: ReactNode }) {
  const theme = useEditor((state) => state.theme);
  const root = useRef<HTMLDivElement>(null);
  const [slot, setSlot] = useState<Element | null>(null);
  // After each render, as the panel may be folded away and come back.
  useEffect(() => {
    const found = root.current?.querySelector('[data-tensorloom-slot="inspection"]') ?? null;
    if (found !== slot) setSlot(found);
  });
  useEffect(() => {
    // The shell around the workbench follows the same choice.
    const page = globalThis.document.documentElement;
    if (theme === "system") delete page.dataset.theme;
    else page.dataset.theme = theme;
  }, [theme]);
  return (
    <div ref={root} className="tl-app" data-theme={theme === "system" ? undefined : theme}>
      <Header />
      <FormulaBar />
      <Rail />
      <Canvas />
      <SidePanel />
      <PlanPanel />
      <Dialogs />
      <Toasts />
      {slot && inspection && createPortal(inspection, slot)}
    </div>
  );
}
