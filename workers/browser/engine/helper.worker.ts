/** A helper thread: compiles the kernels it is told of and serves; see `team.ts`. */

import { type DriverExports, instantiate, kernelOf } from "./modules.ts";
import type { ToHelper } from "./team.ts";

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
      started?.exports.serve?.(started.control, message.epoch, started.scratch, started.workspace);
      break;
    default:
      message satisfies never;
  }
};
