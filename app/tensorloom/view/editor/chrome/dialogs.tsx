/**
 * Which dialog is open, the actions that open them, and the page as a place to drop files.
 */

import { useEffect } from "react";
import { registerActions } from "../actions.ts";
import { type DialogName, store, useEditor } from "../store.ts";
import { CommandPalette } from "./commandPalette.tsx";
import { DropTarget } from "./dropTarget.tsx";
import { ExportDialog } from "./exportDialog.tsx";
import { GesturesDialog } from "./gesturesDialog.tsx";
import { KernelsDialog } from "./kernels/kernelsDialog.tsx";
import { OpenDialog } from "./openDialog.tsx";
import { WorkerDialog } from "./remoteDoor.tsx";
import { ShareDialog } from "./shareDialog.tsx";
import { TemplatesDialog } from "./templatesDialog.tsx";

const DIALOGS: Readonly<Record<DialogName, () => JSX.Element>> = {
  commands: CommandPalette,
  export: ExportDialog,
  gestures: GesturesDialog,
  kernels: KernelsDialog,
  open: OpenDialog,
  share: ShareDialog,
  templates: TemplatesDialog,
  worker: WorkerDialog,
};

export function Dialogs() {
  const name = useEditor((state) => state.dialog);
  useEffect(() => {
    const show = (dialog: DialogName) => () => store.set({ dialog });
    return registerActions({ commands: show("commands"), export: show("export"), gestures: show("gestures"), kernels: show("kernels"), open: show("open"), share: show("share"), templates: show("templates"), worker: show("worker") });
  }, []);
  const Shown = name && DIALOGS[name];
  return (
    <>
      {Shown && <Shown key={name} />}
      <DropTarget />
    </>
  );
}
