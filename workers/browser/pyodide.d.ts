/** The parts of Pyodide 314 that the workers use. */
export interface PyProxy {
  (...args: unknown[]): unknown;
  callKwargs(...args: unknown[]): unknown;
  get(name: string): unknown;
  toJs(options?: Record<string, unknown>): unknown;
  getBuffer(type?: string): { data: ArrayBufferView; release(): void };
  destroy(): void;
  copy(): PyProxy;
  [name: string]: unknown;
}

export interface Pyodide {
  runPython(code: string, options?: Record<string, unknown>): unknown;
  runPythonAsync(code: string, options?: Record<string, unknown>): Promise<unknown>;
  unpackArchive(data: ArrayBuffer | ArrayBufferView, format: string, options?: { extractDir?: string }): void;
  registerJsModule(name: string, module: object): void;
  pyimport(name: string): PyProxy;
  globals: PyProxy;
  FS: { writeFile(path: string, data: Uint8Array | string, options?: { canOwn?: boolean }): void; mkdirTree(path: string): void };
  toPy(value: unknown): PyProxy;
  makeMemorySnapshot(options?: Record<string, unknown>): Uint8Array;
  _module: EmscriptenModule;
}

/** Emscripten's module object; private to Pyodide, so every use is kept in one file. */
export interface EmscriptenModule {
  memory: WebAssembly.Memory;
  [name: string]: unknown;
}
