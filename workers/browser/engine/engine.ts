/**
 * The page's own engine: compiled programs in, numbers out, no Python.
 *
 * An engine has one memory, one driver and, where the page is isolated, helper threads.
 */

import type { Compiled } from "./compiledFile.ts";
import { EngineMemory } from "./memory.ts";
import { KernelTable } from "./modules.ts";
import { type Engine, LoadedProgram } from "./program.ts";
import { Team } from "./team.ts";

export interface Runtime {
  /** Threads it has, the calling one included. */
  readonly threads: number;
  load(compiled: Compiled): LoadedProgram;
  counters(): { heldBytes: number; places: number; memoryBytes: number; kernels: number };
  stop(): void;
}

/** An engine on the calling thread, with the first program's driver and workspace. */
export function startEngine(first: Compiled): Runtime {
  return runtime(engineOn(new EngineMemory(false), first, false));
}

/** An engine with helpers; only where the page is isolated, and never on the page's own thread. */
export async function startTeam(first: Compiled, threads: number, makeWorker: () => Worker): Promise<Runtime> {
  const engine = engineOn(new EngineMemory(true), first, true);
  const { lead } = engine.table.driver;
  if (!engine.team || !lead) throw new Error("This program is compiled for one thread.");
  try {
    await engine.team.start(threads - 1, makeWorker, engine.table.driverModule, lead, first.workspaceBytes);
  } catch (error) {
    // Helpers that did start would wait for ever.
    engine.team.stop();
    throw error;
  }
  return runtime(engine);
}

function engineOn(memory: EngineMemory, first: Compiled, shared: boolean): Engine {
  const workspace = memory.allocate(first.workspaceBytes);
  const team = shared ? new Team(memory, workspace) : null;
  const table = new KernelTable(first.driver, memory.memory, shared, (slot, module) => team?.announce(slot, module));
  return { memory, table, workspace, team };
}

function runtime(engine: Engine): Runtime {
  return {
    threads: engine.team?.size ?? 1,
    load: (compiled) => new LoadedProgram(engine, compiled),
    counters: () => ({ ...engine.memory.counters, kernels: engine.table.size }),
    stop: () => engine.team?.stop(),
  };
}
