/**
 * What ran last: groups of small steps, then kernels, heaviest first: what each multiplies, where, how fast.
 */

import type { KernelShapeJson, KernelsJson } from "../../protocol.ts";
import { BACKEND_WORDS } from "../deviceWords.ts";
import { duration } from "../numbers.ts";
import { groupSteps, sizes, speed, totalMs } from "./kernelFacts.ts";

interface KernelListProps {
  kernels: KernelsJson;
  /** Name of the kernel or group that is shown. */
  chosen: string;
  onChoose: (name: string) => void;
}

export function KernelList({ kernels, chosen, onChoose }: KernelListProps) {
  const { shapes, calls, groups, groupsNote } = kernels;
  const all = sumMs(calls);
  return (
    <>
      <ul className="tl-kernel-list" aria-label="Kernels of the last run">
        {groups.map((group, number) => (
          <Row
            key={group.name}
            title={groupSteps(group)}
            right="in one call"
            about={`${group.functions.length === 1 ? "1 kind" : `${group.functions.length} kinds`}, ${group.dtype} on WASM`}
            ms={sumMs(calls.filter((call) => call.group === number))}
            all={all}
            isChosen={group.name === chosen}
            onChoose={() => onChoose(group.name)}
          />
        ))}
        {shapes.map((shape, kernel) => {
          const gflops = speed(shape, kernel, calls);
          return (
            <Row
              key={shape.name}
              title={sizes(shape)}
              right={gflops === null ? untimed(shape) : `${gflops.toPrecision(3)} GFLOP/s`}
              about={`${shape.calls > 1 ? `${shape.calls} calls, ` : ""}${shape.dtype} on ${BACKEND_WORDS[shape.backend]}`}
              ms={totalMs(kernel, calls)}
              all={all}
              isChosen={shape.name === chosen}
              onChoose={() => onChoose(shape.name)}
            />
          );
        })}
      </ul>
      <p className="tl-note">
        {groups.length > 0 && "Groups of small steps first, then every product. "}
        Each product as rows × columns × summed, heaviest first. GFLOP/s: billions of operations a second, of the kernel alone where it was tuned. Times are shares of the last run, by work
        {groups.length > 0 && "; the run that makes a group takes longer for it"}. {groupsNote}
      </p>
    </>
  );
}

/** Why there is no speed. */
function untimed(shape: KernelShapeJson): string {
  if (shape.inUse === "fused") return "in a group";
  return shape.isTimed ? "not timed" : "too small to time";
}

interface RowProps {
  title: string;
  right: string;
  about: string;
  ms: number;
  /** Of the whole run [ms]. */
  all: number;
  isChosen: boolean;
  onChoose: () => void;
}

function Row({ title, right, about, ms, all, isChosen, onChoose }: RowProps) {
  return (
    <li>
      <button type="button" aria-pressed={isChosen} onClick={onChoose}>
        <b>{title}</b>
        <span>{right}</span>
        <small>{about}</small>
        <small>{ms > 0 ? duration(ms) : ""}</small>
        <i style={{ inlineSize: `${all > 0 ? (100 * ms) / all : 0}%` }} />
      </button>
    </li>
  );
}

function sumMs(calls: KernelsJson["calls"]): number {
  return calls.reduce((sum, call) => sum + (call.ms ?? 0), 0);
}
