// 49c51e391c1df981: out[output] = sum over contracted of left * right, neighbouring outputs per invocation.
alias Element = f32;
alias Stored = f32;

struct Call {
  left_start: u32,
  right_start: u32,
  left_slot: u32,
  right_slot: u32,
  out_slot: u32,
  out_start: u32,
}

@group(0) @binding(0) var<storage, read> left: array<Stored, 35>;
@group(0) @binding(1) var<storage, read> right: array<Stored, 77>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored, 55>;
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

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
  let block = group.x + group.y * 3u;
  if (block >= 3u) {
    return;
  }
  let column_first = block * 24u + lane.x;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let left_base = 0u;
  let right_base = 0u;
  let out_base = 0u;

  let column_0 = min(column_first + 0u, 54u);
  let left_0 = left_base + (column_0 / 11u) * 7u;
  let right_0 = right_base + (column_0 % 11u);
  var sum_0 = Element();
  let column_1 = min(column_first + 8u, 54u);
  let left_1 = left_base + (column_1 / 11u) * 7u;
  let right_1 = right_base + (column_1 % 11u);
  var sum_1 = Element();
  let column_2 = min(column_first + 16u, 54u);
  let left_2 = left_base + (column_2 / 11u) * 7u;
  let right_2 = right_base + (column_2 % 11u);
  var sum_2 = Element();
  for (var k0 = 0u; k0 < 7u; k0 += 1u) {
    let a_0_0 = left[left_0 + k0] * left_scale;
    let b_0_0 = right[right_0 + k0 * 11u] * right_scale;
    sum_0 = fma(a_0_0, b_0_0, sum_0);
    let a_1_0 = left[left_1 + k0] * left_scale;
    let b_1_0 = right[right_1 + k0 * 11u] * right_scale;
    sum_1 = fma(a_1_0, b_1_0, sum_1);
    let a_2_0 = left[left_2 + k0] * left_scale;
    let b_2_0 = right[right_2 + k0 * 11u] * right_scale;
    sum_2 = fma(a_2_0, b_2_0, sum_2);
  }
  var peak = 0.0;
  if (column_first + 0u < 55u) {
    out[out_base + (column_0 / 11u) * 11u + (column_0 % 11u)] = sum_0;
    peak = max(peak, abs(sum_0));
  }
  if (column_first + 8u < 55u) {
    out[out_base + (column_1 / 11u) * 11u + (column_1 % 11u)] = sum_1;
    peak = max(peak, abs(sum_1));
  }
  if (column_first + 16u < 55u) {
    out[out_base + (column_2 / 11u) * 11u + (column_2 % 11u)] = sum_2;
    peak = max(peak, abs(sum_2));
  }
  leave(peak);
}
