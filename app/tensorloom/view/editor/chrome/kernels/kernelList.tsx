/**
 * The kernels of the last run, heaviest first: what each multiplies, where it ran, how fast.
 */

import type { KernelsJson } from "../../protocol.ts";
import { BACKEND_WORDS } from "../deviceWords.ts";
import { duration } from "../numbers.ts";
import { sizes, speed, totalMs } from "./kernelFacts.ts";

interface KernelListProps {
  kernels: KernelsJson;
  chosen: number;
  onChoose: (kernel: number) => void;
}

export function KernelList({ kernels, chosen, onChoose }: KernelListProps) {
  const { shapes, calls } = kernels;
  const all = calls.reduce((sum, call) => sum + (call.ms ?? 0), 0);
  return (
    <>
      <ul className="tl-kernel-list" aria-label="Kernels of the last run">
        {shapes.map((shape, kernel) => {
          const ms = totalMs(kernel, calls);
          const gflops = speed(shape, kernel, calls);
          return (
            <li key={shape.name}>
              <button type="button" aria-pressed={kernel === chosen} onClick={() => onChoose(kernel)}>
                <b>{sizes(shape)}</b>
                <span>{gflops === null ? "not timed" : `${gflops.toPrecision(3)} GFLOP/s`}</span>
                <small>
                  {shape.calls > 1 ? `${shape.calls} calls, ` : ""}
                  {shape.dtype} on {BACKEND_WORDS[shape.backend]}
                </small>
                <small>{ms > 0 ? duration(ms) : ""}</small>
                <i style={{ inlineSize: `${all > 0 ? (100 * ms) / all : 0}%` }} />
              </button>
            </li>
          );
        })}
      </ul>
      <p className="tl-note">
        Each product as rows × columns × summed, heaviest first. GFLOP/s: billions of operations a second, of the kernel alone where it was tuned. Times are shares of the last run, by work.
      </p>
    </>
  );
}
