import assert from "node:assert/strict";
import { test } from "node:test";
import { createGpuExecutor } from "../../workers/browser/webgpu.ts";

/** What of a device the executor asks before anything is loaded. */
class Device {
  destroyed = 0;
  readonly features = new Set<string>();
  readonly limits = { maxBufferSize: 1024, maxStorageBufferBindingSize: 1024 };
  private end: (info: { reason: string; message: string }) => void = () => undefined;
  readonly lost = new Promise<{ reason: string; message: string }>((resolve) => (this.end = resolve));

  destroy(): void {
    this.destroyed += 1;
    this.end({ reason: "destroyed", message: "Device was destroyed." });
  }
}

/** The devices that `navigator.gpu` gives, one after the other; without any left there is no adapter. */
function offered(devices: Device[]): void {
  const waiting = [...devices];
  const adapter = { info: { vendor: "test" }, limits: {}, features: new Set<string>(), requestDevice: () => Promise.resolve(waiting.shift()) };
  const gpu = { requestAdapter: () => Promise.resolve(waiting.length > 0 ? adapter : null) };
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
}

const gone = (words: RegExp) => ({ name: "Error", message: words });

test("a device that is asked for again takes the place of the one before", async () => {
  const [first, second] = [new Device(), new Device()];
  offered([first, second]);
  const executor = createGpuExecutor();
  await executor.request();
  assert.equal(first.destroyed, 0);
  await executor.request();
  assert.equal(first.destroyed, 1);
  assert.equal(second.destroyed, 0);
  // That the first one is lost says nothing of the second.
  await first.lost;
  assert.throws(() => executor.enqueue(1, 0, 1), gone(/no plan has the number 1/));
  executor.lose();
  await second.lost;
  assert.throws(() => executor.enqueue(1, 0, 1), gone(/device-lost: destroyed/));
});

test("without another device the one before stays", async () => {
  const only = new Device();
  offered([only]);
  const executor = createGpuExecutor();
  await executor.request();
  await assert.rejects(executor.request(), gone(/no-gpu: WebGPU found no adapter here/));
  assert.equal(only.destroyed, 0);
  assert.throws(() => executor.enqueue(1, 0, 1), gone(/no plan has the number 1/));
});

test("two who ask at the same time leave one device", async () => {
  const devices = [new Device(), new Device()];
  offered(devices);
  const executor = createGpuExecutor();
  await Promise.all([executor.request(), executor.request()]);
  assert.deepEqual(devices.map(({ destroyed }) => destroyed), [1, 0]);
});
