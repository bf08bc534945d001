// 1feffea2b83659f3: out[outputs] = sum over contracted of left * right, sizes and strides from the call.
alias Element = vec2<f32>;
alias Stored = vec2<f32>;

struct Call {
  left_start: u32,
  right_start: u32,
  left_slot: u32,
  right_slot: u32,
  out_slot: u32,
  out_start: u32,
  kept_axes: u32,
  all_axes: u32,
  outputs: u32,
  products: u32,
  axes: array<vec4<u32>, 29>,
}

@group(0) @binding(0) var<storage, read> left: array<Stored>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored>;
@group(0) @binding(3) var<storage, read_write> largest: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> call: Call;

// 2^-e of a magnitude outside 2^-40 .. 2^40, else 1; the host computes the same e.
fn unscale(bits: u32) -> f32 {
  let exponent = i32((bits >> 23u) & 0xffu);
  let e = min(exponent - 126, 126);
  if (bits == 0u || exponent == 255 || abs(e) <= 40) {
    return 1.0;
  }
  return bitcast<f32>(u32(127 - e) << 23u);
}

// Keeps the largest magnitude of the result; most invocations only look.
fn leave(peak: f32) {
  let bits = bitcast<u32>(peak);
  if (bits > atomicLoad(&largest[call.out_slot])) {
    atomicMax(&largest[call.out_slot], bits);
  }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let output = id.x;
  if (output >= call.outputs) {
    return;
  }
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  // Axes are (size, left, right, out), kept ones first, each group with its fastest axis first.
  var rest = output;
  var base = vec3<u32>(call.left_start, call.right_start, call.out_start);
  for (var n = 0u; n < call.kept_axes; n++) {
    let axis = call.axes[n];
    base += axis.yzw * (rest % axis.x);
    rest /= axis.x;
  }
  var sum = Element();
  for (var k = 0u; k < call.products; k++) {
    var at = base;
    var digits = k;
    for (var n = call.kept_axes; n < call.all_axes; n++) {
      let axis = call.axes[n];
      at += axis.yzw * (digits % axis.x);
      digits /= axis.x;
    }
    let a = left[at.x] * left_scale;
    sum += a;
  }
  out[base.z] = sum;
  leave(max(abs(sum.x), abs(sum.y)));
}
