// 004f568f63b3e487: out[batch, row, column] = sum over contracted of left * right, through strides.
// What every contraction kernel binds, and the carried exponents.
//
// Every call leaves the largest magnitude it wrote in `largest`; whoever reads that tensor takes its
// exponent out if it is outside the safe range, so nothing overflows and the host learns all
// exponents in one read at the end.
alias Element = vec2<f32>;

struct Call {
  left_start: u32,
  right_start: u32,
  left_slot: u32,
  right_slot: u32,
  out_slot: u32,
}

@group(0) @binding(0) var<storage, read> left: array<Element, 105>;
@group(0) @binding(1) var<storage, read> right: array<Element, 231>;
@group(0) @binding(2) var<storage, read_write> out: array<Element, 165>;
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


@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let tile = id.x + id.y * 64u;
  if (tile >= 27u) {
    return;
  }
  let column_tile = tile % 3u;
  let row_tile = (tile / 3u) % 3u;
  let batch = tile / 9u;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let left_base = call.left_start + batch * 35u;
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let right_base = call.right_start + batch * 77u;
  let out_base = batch * 55u;
  let row_0 = min(row_tile * 2u + 0u, 4u);
  let left_0 = left_base + row_0 * 7u;
  let out_0 = out_base + row_0 * 11u;
  let row_1 = min(row_tile * 2u + 1u, 4u);
  let left_1 = left_base + row_1 * 7u;
  let out_1 = out_base + row_1 * 11u;
  let column_0 = min(column_tile * 4u + 0u, 10u);
  let right_0 = right_base + column_0;
  let out_column_0 = column_0;
  let column_1 = min(column_tile * 4u + 1u, 10u);
  let right_1 = right_base + column_1;
  let out_column_1 = column_1;
  let column_2 = min(column_tile * 4u + 2u, 10u);
  let right_2 = right_base + column_2;
  let out_column_2 = column_2;
  let column_3 = min(column_tile * 4u + 3u, 10u);
  let right_3 = right_base + column_3;
  let out_column_3 = column_3;
  var sum_0_0 = Element();
  var sum_0_1 = Element();
  var sum_0_2 = Element();
  var sum_0_3 = Element();
  var sum_1_0 = Element();
  var sum_1_1 = Element();
  var sum_1_2 = Element();
  var sum_1_3 = Element();
  for (var k0 = 0u; k0 < 7u; k0++) {
    let left_step = k0;
    let a_0 = left[left_0 + left_step] * left_scale;
    let a_1 = left[left_1 + left_step] * left_scale;
    let right_step = k0 * 11u;
    let b_0 = right[right_0 + right_step] * right_scale;
    let b_1 = right[right_1 + right_step] * right_scale;
    let b_2 = right[right_2 + right_step] * right_scale;
    let b_3 = right[right_3 + right_step] * right_scale;
    sum_0_0 = fma(vec2<f32>(a_0.x), b_0, sum_0_0); sum_0_0 = fma(vec2<f32>(-a_0.y, a_0.y), b_0.yx, sum_0_0);
    sum_0_1 = fma(vec2<f32>(a_0.x), b_1, sum_0_1); sum_0_1 = fma(vec2<f32>(-a_0.y, a_0.y), b_1.yx, sum_0_1);
    sum_0_2 = fma(vec2<f32>(a_0.x), b_2, sum_0_2); sum_0_2 = fma(vec2<f32>(-a_0.y, a_0.y), b_2.yx, sum_0_2);
    sum_0_3 = fma(vec2<f32>(a_0.x), b_3, sum_0_3); sum_0_3 = fma(vec2<f32>(-a_0.y, a_0.y), b_3.yx, sum_0_3);
    sum_1_0 = fma(vec2<f32>(a_1.x), b_0, sum_1_0); sum_1_0 = fma(vec2<f32>(-a_1.y, a_1.y), b_0.yx, sum_1_0);
    sum_1_1 = fma(vec2<f32>(a_1.x), b_1, sum_1_1); sum_1_1 = fma(vec2<f32>(-a_1.y, a_1.y), b_1.yx, sum_1_1);
    sum_1_2 = fma(vec2<f32>(a_1.x), b_2, sum_1_2); sum_1_2 = fma(vec2<f32>(-a_1.y, a_1.y), b_2.yx, sum_1_2);
    sum_1_3 = fma(vec2<f32>(a_1.x), b_3, sum_1_3); sum_1_3 = fma(vec2<f32>(-a_1.y, a_1.y), b_3.yx, sum_1_3);
  }
  var peak = 0.0;
  if (row_tile * 2u + 0u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_0 + out_column_0] = sum_0_0;
    peak = max(peak, max(abs(sum_0_0.x), abs(sum_0_0.y)));
  }
  if (row_tile * 2u + 0u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_0 + out_column_1] = sum_0_1;
    peak = max(peak, max(abs(sum_0_1.x), abs(sum_0_1.y)));
  }
  if (row_tile * 2u + 0u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_0 + out_column_2] = sum_0_2;
    peak = max(peak, max(abs(sum_0_2.x), abs(sum_0_2.y)));
  }
  if (row_tile * 2u + 0u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_0 + out_column_3] = sum_0_3;
    peak = max(peak, max(abs(sum_0_3.x), abs(sum_0_3.y)));
  }
  if (row_tile * 2u + 1u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_1 + out_column_0] = sum_1_0;
    peak = max(peak, max(abs(sum_1_0.x), abs(sum_1_0.y)));
  }
  if (row_tile * 2u + 1u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_1 + out_column_1] = sum_1_1;
    peak = max(peak, max(abs(sum_1_1.x), abs(sum_1_1.y)));
  }
  if (row_tile * 2u + 1u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_1 + out_column_2] = sum_1_2;
    peak = max(peak, max(abs(sum_1_2.x), abs(sum_1_2.y)));
  }
  if (row_tile * 2u + 1u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_1 + out_column_3] = sum_1_3;
    peak = max(peak, max(abs(sum_1_3.x), abs(sum_1_3.y)));
  }
  atomicMax(&largest[call.out_slot], bitcast<u32>(peak));
}
