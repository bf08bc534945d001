/** Zoom out, the zoom, zoom in, fit. */

import { useStore } from "@xyflow/react";
import { ARIA, perform } from "../actions.ts";

export function ZoomBar() {
  const percent = useStore((state) => Math.round(state.transform[2] * 100));
  return (
    <div className="tl-zoom" role="group" aria-label={ARIA.zoom}>
      <button type="button" aria-label="Zoom out" title="Zoom out (-)" onClick={() => perform("zoom-out")}>
        −
      </button>
      <button type="button" className="tl-zoom-percent" aria-label={`Zoom ${percent} percent. Back to 100 percent`} title="Zoom to 100 % (1)" onClick={() => perform("zoom-reset")}>
        {percent} %
      </button>
      <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => perform("zoom-in")}>
        +
      </button>
      <button type="button" title="Fit the drawing (F)" onClick={() => perform("fit")}>
        Fit
      </button>
    </div>
  );
}
