/**
 * The bundle that Panel's `ReactComponent` loads (`view/editor/editor.py`, class `Editor`).
 *
 * Panel 1.9 in bundle mode takes React, createRoot and the component by its class name from the
 * default export, and renders `Editor.render` as a React component with `{ model, view, el }`.
 */

import * as React from "react";
import { createRoot } from "react-dom/client";

function Workbench({ model }: { model: { document: string } }) {
  return <pre>{model.document}</pre>;
}

export default { React, createRoot, Editor: { render: Workbench } };
