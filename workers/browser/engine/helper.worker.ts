/** A helper thread: compiles the kernels it is told of and serves; see `team.ts`. */

import { type DriverExports, instantiate, kernelOf } from "./modules.ts";
import { stoppedHalfWay, type ToHelper } from "./team.ts";

let started: (Extract<ToHelper, { type: "start" }> & { exports: DriverExports }) | null = null;

globalThis.onmessage = (event: MessageEvent<ToHelper>) => {
  const message = event.data;
  switch (message.type) {
    case "start": {
      const exports = instantiate(message.driver, message.memory) as unknown as DriverExports;
      if (exports.nothing) exports.kernels.set(0, exports.nothing);
      started = { ...message, exports };
      postMessage("started");
      break;
    }
    case "kernel":
      started?.exports.kernels.set(message.slot, kernelOf(message.module, started.memory));
      break;
    case "serve":
      serve(message.epoch);
      break;
    default:
      message satisfies never;
  }
};

/** Serves until the epoch ends, whatever kernels do meanwhile. */
function serve(epoch: number): void {
  for (let ended = false; started && !ended; ) {
    try {
      started.exports.serve?.(started.control, epoch, started.scratch, started.workspace);
      ended = true;
    } catch {
      stoppedHalfWay(started.memory, started.control);
    }
  }
}
