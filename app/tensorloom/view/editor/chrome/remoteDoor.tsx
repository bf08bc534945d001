/**
 * The door to the code that speaks with heavy workers: loaded when it is wanted, never at start-up.
 *
 * It is wanted by a press of the button that connects, by a link that does, by a script, and on
 * visits of a browser that is connected already. Until then nothing is known of any worker.
 */

import { type ReactNode, useEffect, useState } from "react";
import type { RemoteModule } from "../remote/index.tsx";
import { linkedWorker, stripWorkerLink } from "../remote/linked.ts";
import { isRemembered } from "../remote/remembered.ts";
import { store, useEditor } from "../store.ts";
import { Dialog } from "./dialog.tsx";

let module: RemoteModule | null = null;
let loading: Promise<RemoteModule> | null = null;

/** Only the static page talks to workers: under `panel serve` Python has a machine of its own. */
export function canReachWorkers(): boolean {
  return "tensorloomBoot" in globalThis;
}

export function loadRemote(): Promise<RemoteModule> {
  loading ??= load();
  return loading;
}

async function load(): Promise<RemoteModule> {
  try {
    const loaded = (await import(new URL("remote.js", import.meta.url).href)) as RemoteModule;
    // First: the step below makes the page draw with it.
    module = loaded;
    await loaded.desk.start();
    return loaded;
  } catch (error) {
    loading = null;
    throw error;
  }
}

/** Takes up a connection of an earlier visit. */
export function resumeRemote(): void {
  if (canReachWorkers() && isRemembered()) void loadRemote().catch((error: unknown) => console.warn("The code for workers could not be loaded.", error));
}

/** Connects to the worker that a link names; false where the address is not such a link. */
export function openWorkerLink(): boolean {
  stripWorkerLink();
  const found = linkedWorker();
  if (!found) return false;
  if ("error" in found) store.complain(found.error);
  else if (canReachWorkers()) {
    loadRemote().then(
      ({ desk }) => desk.openLink(found.worker),
      (error: unknown) => console.warn("The code for workers could not be loaded.", error),
    );
  }
  return true;
}

type Part = "RunChoice" | "Away" | "News";

/** A part of the page that comes with the code for workers; until that is there, what stands in. */
export function RemotePart({ name, instead = null }: { name: Part; instead?: ReactNode }) {
  // It is filled in by the same step that loads the code.
  const isLoaded = useEditor((state) => state.remote !== null);
  const Found = isLoaded ? module?.[name] : undefined;
  return Found ? <Found /> : <>{instead}</>;
}

/** The device's sentence, and what is to be said of a worker. */
export function useWhere(device: string): string {
  const remote = useEditor((state) => state.remote);
  return module ? module.whereSentence(device, remote) : device;
}

/** Sends what is shown to the worker; without one, asks for one. */
export function sendToWorker(): void {
  void loadRemote().then(({ desk }) => {
    if (store.get().remote?.connection.kind === "off") store.set({ dialog: "worker" });
    else void desk.submit();
  });
}

export function WorkerDialog() {
  const [shown, setShown] = useState(module);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (!canReachWorkers()) return;
    loadRemote().then(setShown, () => setFailed(true));
  }, []);
  if (shown) return <shown.WorkerDialog />;
  return (
    <Dialog title="Worker">
      <p className="tl-note" role="status">
        {!canReachWorkers() ? "This page computes on the server that Python runs on; workers are reached from the static page." : failed ? "The code for workers could not be loaded. See that this site can be reached, then open this again." : "Loading."}
      </p>
    </Dialog>
  );
}
