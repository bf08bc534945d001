/**
 * The start-up line on the header's lower edge: as long as what is really done. The device pill
 * says the same in words; the line leaves when Python has answered.
 */

import { useEditor } from "../store.ts";

export function ProgressLine() {
  const boot = useEditor((state) => state.boot);
  const ready = useEditor((state) => state.ready);
  const fraction = ready ? 1 : Math.min(1, Math.max(0.02, boot.fraction));
  return (
    <div
      className="tl-progress"
      role="progressbar"
      aria-label={boot.failed ? `Python did not start: ${boot.message}` : `Starting: ${boot.message}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(fraction * 100)}
      data-failed={boot.failed ? "" : undefined}
      hidden={ready && !boot.failed}
    >
      <i style={{ transform: `scaleX(${fraction})` }} />
    </div>
  );
}
