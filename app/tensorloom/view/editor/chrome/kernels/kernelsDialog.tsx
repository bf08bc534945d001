/**
 * The Kernels view: what was generated for the last run, how it was chosen, what this device can do.
 */

import { useEffect, useState } from "react";
import type { KernelsJson } from "../../protocol.ts";
import { store, useEditor } from "../../store.ts";
import { Choice } from "../choice.tsx";
import { Dialog } from "../dialog.tsx";
import { duration } from "../numbers.ts";
import { DatabaseBar } from "./databaseBar.tsx";
import { DevicePane } from "./devicePane.tsx";
import { GroupPane } from "./groupPane.tsx";
import { KernelList } from "./kernelList.tsx";
import { SourcePane } from "./sourcePane.tsx";
import { TuningCharts } from "./tuningCharts.tsx";

type Pane = "kernel" | "tuning" | "device";

const PANES: readonly { value: Pane; label: string; long: string }[] = [
  { value: "kernel", label: "Kernel", long: "Loops and text of the chosen kernel" },
  { value: "tuning", label: "Tuning", long: "How the chosen kernel was found" },
  { value: "device", label: "Device", long: "What was measured of this device" },
];

const NOTHING_TO_CHOOSE = "The functions of a group are written out in one way only, so there was nothing to choose: what a step this small costs is mostly its call.";

export function KernelsDialog() {
  const kernels = useEditor((state) => state.kernels);
  const ready = useEditor((state) => state.ready);
  useEffect(() => {
    if (!ready) return undefined;
    store.request({ kind: "kernels", watch: true });
    return () => void store.request({ kind: "kernels", watch: false });
  }, [ready]);
  return (
    <Dialog title="Kernels" className={`is-kernels ${kernels?.shapes.length || kernels?.device ? "" : "is-empty"}`}>
      {kernels && kernels.shapes.length > 0 ? <Kernels kernels={kernels} /> : <Waiting kernels={kernels} ready={ready} />}
      <DatabaseBar />
    </Dialog>
  );
}

/** Before anything ran: what to do, and the device if it was measured on an earlier visit. */
function Waiting({ kernels, ready }: { kernels: KernelsJson | null; ready: boolean }) {
  return (
    <>
      <p className="tl-note">{waitingWords(ready, kernels !== null)}</p>
      {kernels?.device && <DevicePane kernels={kernels} chosen={0} />}
    </>
  );
}

function waitingWords(ready: boolean, answered: boolean): string {
  if (!ready) return "Kernels are generated as soon as Python is up.";
  return answered ? "Nothing has been contracted yet: draw two tensors that share a bond." : "Gathering what ran last.";
}

function Kernels({ kernels }: { kernels: KernelsJson }) {
  const [pane, setPane] = useState<Pane>("kernel");
  const [name, setName] = useState<string | null>(null);
  const number = kernels.groups.findIndex((one) => one.name === name);
  const group = kernels.groups[number];
  const chosen = group ? -1 : Math.max(0, kernels.shapes.findIndex((one) => one.name === name));
  const shape = kernels.shapes[chosen];
  const onKernel = (kernel: number) => setName(kernels.shapes[kernel]?.name ?? null);
  const onGroup = (place: number) => setName(kernels.groups[place]?.name ?? null);
  return (
    <div className="tl-kernels">
      <div>
        <KernelList kernels={kernels} chosen={(group ?? shape)?.name ?? ""} onChoose={setName} />
        <Tuning tuning={kernels.tuning} />
      </div>
      <div>
        <Choice label="What to show" value={pane} options={PANES} onChange={setPane} />
        {group && pane === "kernel" && <GroupPane kernels={kernels} number={number} group={group} onKernel={onKernel} />}
        {group && pane === "tuning" && <p className="tl-note">{NOTHING_TO_CHOOSE}</p>}
        {shape && pane === "kernel" && <SourcePane kernels={kernels} kernel={chosen} shape={shape} onGroup={onGroup} />}
        {shape && pane === "tuning" && (
          <div className="tl-kernel-pane">
            <TuningCharts shape={shape} />
          </div>
        )}
        {pane === "device" && <DevicePane kernels={kernels} chosen={chosen} />}
      </div>
    </div>
  );
}

/** A kernel is tuned within its budget; all of them together take longer. */
function Tuning({ tuning }: { tuning: KernelsJson["tuning"] }) {
  const { running, message, spentMs, budgetMs, thrownOut } = tuning;
  return (
    <div role="status">
      <p className="tl-note">
        {message}.{running && ` So far ${duration(spentMs)} on this visit, at most ${duration(budgetMs)} per kernel.`}
      </p>
      {thrownOut.length > 0 && (
        <details className="tl-thrown-out">
          <summary>Thrown out: {thrownOut.length}</summary>
          <ul>
            {thrownOut.map((words, place) => (
              <li key={place}>{words}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
