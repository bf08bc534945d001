/**
 * This device as it was measured: facts with how each was found, the curves behind them, the roofline.
 */

import type { DeviceRecordJson, KernelsJson } from "../../protocol.ts";
import { intensity, roof, sizes, speed } from "./kernelFacts.ts";
import { linePath, Plot, PLOT } from "./plot.tsx";

export function DevicePane({ kernels, chosen }: { kernels: KernelsJson; chosen: number }) {
  const { device } = kernels;
  if (!device) return <p className="tl-note">This device has not been measured yet. That takes half a second and waits for a quiet moment.</p>;
  return (
    <div className="tl-kernel-pane">
      <div className="tl-figures">
        <Roofline device={device} kernels={kernels} chosen={chosen} />
        {device.curves.map((curve) => (
          <Curve key={curve.title} curve={curve} />
        ))}
      </div>
      <dl className="tl-device-facts">
        {device.facts.map(({ label, value, how }) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              {value}
              <small>{how}</small>
            </dd>
          </div>
        ))}
      </dl>
      <p className="tl-note">Record: {device.name}. Browsers do not say how large caches are or how many registers there are; all of this was found by timing small kernels here.</p>
    </div>
  );
}

function Roofline({ device, kernels, chosen }: { device: DeviceRecordJson; kernels: KernelsJson; chosen: number }) {
  const { peakGflops, bytesPerMs } = device;
  const onGpu = kernels.shapes[0]?.backend.startsWith("webgpu") ?? false;
  if (peakGflops === null || bytesPerMs === null)
    return <p className="tl-note">{onGpu && kernels.tuning.running ? "The GPU's roofline comes when its speed is measured, once all kernels are chosen." : "There is no roofline for what ran last: arithmetic or memory of its place could not be measured."}</p>;
  const dots = kernels.shapes.flatMap((shape, kernel) => {
    const gflops = speed(shape, kernel, kernels.calls);
    return gflops === null ? [] : [{ kernel, shape, at: intensity(shape), gflops }];
  });
  const ridge = (peakGflops * 1e6) / bytesPerMs;
  const across = [ridge / 32, ridge * 32, ...dots.map(({ at }) => at)];
  const ends = [Math.min(...across), ridge, Math.max(...across)];
  const line = ends.map((at): [number, number] => [at, roof(device, at) ?? 0]);
  const chosenShape = kernels.shapes[chosen];
  const most = chosenShape ? roof(device, intensity(chosenShape)) : null;
  return (
    <figure>
      <h3>{onGpu ? "Roofline of the GPU" : "Roofline"}</h3>
      <Plot
        label="Roofline: speed against FLOP per byte"
        x={{ words: "FLOP per byte moved", values: ends, log: true }}
        y={{ words: "GFLOP/s", values: [...line.map(([, gflops]) => gflops), ...dots.map(({ gflops }) => gflops)], log: true }}
      >
        {(x, y) => (
          <>
            <path className="tl-plot-line" d={linePath(line, x, y)} />
            <text className="tl-plot-words" x={PLOT.right - 4} y={y(peakGflops) - 6} textAnchor="end">
              {peakGflops.toPrecision(3)} GFLOP/s
            </text>
            {dots.map(({ kernel, shape, at, gflops }) => (
              <circle key={shape.name} className="tl-plot-dot" data-state={kernel === chosen ? "best" : "measured"} cx={x(at)} cy={y(gflops)} r={kernel === chosen ? 6 : 4}>
                <title>{`${sizes(shape)}: ${gflops.toPrecision(3)} GFLOP/s`}</title>
              </circle>
            ))}
          </>
        )}
      </Plot>
      <figcaption>
        {dots.length === 0 && "No kernel of the last run has a dot: all are too small to time. "}No kernel can be above the line: left of the bend memory is the limit, right of it arithmetic.
        {most !== null && ` The chosen kernel could reach ${most.toPrecision(3)} GFLOP/s here.`} Traffic counts each operand and the result once; a kernel whose operands are still in a cache may be above the slope.
      </figcaption>
    </figure>
  );
}

function Curve({ curve }: { curve: DeviceRecordJson["curves"][number] }) {
  const { knee, points } = curve;
  return (
    <figure>
      <h3>{curve.title}</h3>
      <Plot label={curve.title} x={{ words: curve.x, values: [...points.map(([at]) => at), ...(knee === null ? [] : [knee])], log: curve.log }} y={{ words: curve.y, values: points.map(([, value]) => value) }}>
        {(x, y) => (
          <>
            {knee !== null && <line className="tl-plot-guide" x1={x(knee)} x2={x(knee)} y1={PLOT.top} y2={PLOT.bottom} />}
            <path className="tl-plot-line" d={linePath(points, x, y)} />
            {points.map(([at, value]) => (
              <circle key={at} className="tl-plot-dot" data-state="measured" cx={x(at)} cy={y(value)} r={3} />
            ))}
          </>
        )}
      </Plot>
      <figcaption>{curve.note}</figcaption>
    </figure>
  );
}
