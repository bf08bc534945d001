/**
 * Where it runs, in one sentence; the popover says what this device has, what replaces what it
 * lacks, and lets the user choose back end, precision and appearance.
 */

import type { DeviceJson, DType, RunPlace } from "../protocol.ts";
import { shortAddress } from "../remote/address.ts";
import { store, type Theme, useEditor } from "../store.ts";
import { Choice } from "./choice.tsx";
import { BACKEND_WORDS, DTYPE_WORDS, DTYPES, lampState } from "./deviceWords.ts";
import { Radio } from "./radio.tsx";
import { canReachWorkers, useWhere } from "./remoteDoor.tsx";
import { ThreadsChoice } from "./threadsChoice.tsx";
import { usePopover } from "./usePopover.ts";
import { sentence as withStop } from "./valueState.ts";

export function DevicePill() {
  const device = useEditor((state) => state.device);
  const ready = useEditor((state) => state.ready);
  const boot = useEditor((state) => state.boot);
  const { isOpen, toggle, holder } = usePopover();
  const state = lampState(device, ready, boot.failed);
  const where = useWhere(device?.sentence ?? "");
  const sentence = ready && device ? where : boot.message;
  return (
    <div className="tl-device" ref={holder}>
      <button type="button" className="tl-pill" aria-haspopup="dialog" aria-expanded={isOpen} aria-label={`${sentence}. Show this device`} onClick={toggle}>
        <span className="tl-lamp" data-state={state} />
        <span role="status">{sentence}</span>
      </button>
      {isOpen && <DevicePopover device={device} sentence={sentence} />}
    </div>
  );
}

/** Runs again where the user wants it; the answer says where it really ran. */
function chooseBackend(backend: RunPlace): void {
  store.set({ backend });
  store.request({ kind: "run", backend, dtype: null });
}

export function chooseDType(dtype: DType): void {
  store.dispatch("Set precision", [{ kind: "set-dtype", dtype }]);
}

const THEMES: readonly { value: Theme; label: string }[] = [
  { value: "system", label: "System" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

function DevicePopover({ device, sentence }: { device: DeviceJson | null; sentence: string }) {
  const chosen = useEditor((state) => state.backend);
  const dtype = useEditor((state) => state.document.dtype);
  const theme = useEditor((state) => state.theme);
  const isConnected = useEditor((state) => state.remote !== null && state.remote.connection.kind !== "off");
  return (
    <div className="tl-popover" role="dialog" aria-label="This device">
      <p>{withStop(sentence)}</p>
      {device ? (
        <BackendList device={device} chosen={chosen} />
      ) : (
        <p className="tl-device-list tl-quiet">What this device can do is known as soon as Python is up. Drawing works already.</p>
      )}
      <div className="tl-device-rows">
        <div>
          <span>Numbers</span>
          <Choice label="Numbers" value={dtype} onChange={chooseDType} options={DTYPES.map((value) => ({ value, label: DTYPE_WORDS[value].short, long: DTYPE_WORDS[value].long }))} />
        </div>
        <div>
          <span>Appearance</span>
          <Choice label="Appearance" value={theme} onChange={(value) => store.set({ theme: value })} options={THEMES} />
        </div>
        <ThreadsChoice />
      </div>
      <div className="tl-buttons">
        <button type="button" className="tl-button" onClick={() => store.set({ dialog: "kernels" })}>
          Kernels
        </button>
        {canReachWorkers() && (
          <button type="button" className="tl-button" onClick={() => store.set({ dialog: "worker" })}>
            {isConnected ? "Worker and jobs" : "Connect a worker"}
          </button>
        )}
      </div>
      {device && device.replaced.length > 0 && (
        <ul className="tl-replaced" aria-label="What this browser lacks">
          {device.replaced.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function BackendList({ device, chosen }: { device: DeviceJson; chosen: RunPlace }) {
  const worker = useEditor((state) => state.remote?.connection ?? null);
  const isThere = worker?.kind === "on";
  const rows: { name: RunPlace; available: boolean; detail: string }[] = [
    { name: "auto", available: true, detail: "The fastest one for each run, by measured rates" },
    ...device.backends,
    ...(canReachWorkers() ? [{ name: "worker" as const, available: isThere, detail: isThere ? `${shortAddress(worker.address)}; it computes when you say so` : "A program of yours on this or another machine, for what does not fit here" }] : []),
  ];
  return (
    <div className="tl-device-list" role="radiogroup" aria-label="Where to run">
      {rows.map(({ name, available, detail }) => (
        <label key={name}>
          <Radio
            name="tl-backend"
            checked={chosen === name}
            disabled={!available}
            onChange={() => chooseBackend(name)}
            onKeyDown={(event) => event.stopPropagation()}
          />
          <span className={available ? "" : "tl-quiet"}>
            {BACKEND_WORDS[name]}
            {available ? "" : ", not available"}
          </span>
          <small>{detail}</small>
        </label>
      ))}
    </div>
  );
}
