// 739b22581b990956: out[batch, row, column] = sum over contracted of left * right, through strides.
// What every contraction kernel binds, and the carried exponents.
//
// Every call leaves the largest magnitude it wrote in `largest`; whoever reads that tensor takes its
// exponent out if it is outside the safe range, so nothing overflows and the host learns all
// exponents in one read at the end.
alias Element = f32;

struct Call {
  left_start: u32,
  right_start: u32,
  left_slot: u32,
  right_slot: u32,
  out_slot: u32,
}

@group(0) @binding(0) var<storage, read> left: array<Element, 35>;
@group(0) @binding(1) var<storage, read> right: array<Element, 77>;
@group(0) @binding(2) var<storage, read_write> out: array<Element, 55>;
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
  if (tile >= 6u) {
    return;
  }
  let column_tile = tile % 3u;
  let row_tile = (tile / 3u) % 2u;
  let batch = tile / 6u;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let left_base = call.left_start + 0u;
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let right_base = call.right_start + 0u;
  let out_base = 0u;
  let row_0 = min(row_tile * 4u + 0u, 4u);
  let left_0 = left_base + row_0 * 7u;
  let out_0 = out_base + row_0 * 11u;
  let row_1 = min(row_tile * 4u + 1u, 4u);
  let left_1 = left_base + row_1 * 7u;
  let out_1 = out_base + row_1 * 11u;
  let row_2 = min(row_tile * 4u + 2u, 4u);
  let left_2 = left_base + row_2 * 7u;
  let out_2 = out_base + row_2 * 11u;
  let row_3 = min(row_tile * 4u + 3u, 4u);
  let left_3 = left_base + row_3 * 7u;
  let out_3 = out_base + row_3 * 11u;
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
  var sum_2_0 = Element();
  var sum_2_1 = Element();
  var sum_2_2 = Element();
  var sum_2_3 = Element();
  var sum_3_0 = Element();
  var sum_3_1 = Element();
  var sum_3_2 = Element();
  var sum_3_3 = Element();
  for (var k0 = 0u; k0 < 7u; k0++) {
    let left_step = k0;
    let a_0 = left[left_0 + left_step] * left_scale;
    let a_1 = left[left_1 + left_step] * left_scale;
    let a_2 = left[left_2 + left_step] * left_scale;
    let a_3 = left[left_3 + left_step] * left_scale;
    let right_step = k0 * 11u;
    let b_0 = right[right_0 + right_step] * right_scale;
    let b_1 = right[right_1 + right_step] * right_scale;
    let b_2 = right[right_2 + right_step] * right_scale;
    let b_3 = right[right_3 + right_step] * right_scale;
    sum_0_0 = fma(a_0, b_0, sum_0_0);
    sum_0_1 = fma(a_0, b_1, sum_0_1);
    sum_0_2 = fma(a_0, b_2, sum_0_2);
    sum_0_3 = fma(a_0, b_3, sum_0_3);
    sum_1_0 = fma(a_1, b_0, sum_1_0);
    sum_1_1 = fma(a_1, b_1, sum_1_1);
    sum_1_2 = fma(a_1, b_2, sum_1_2);
    sum_1_3 = fma(a_1, b_3, sum_1_3);
    sum_2_0 = fma(a_2, b_0, sum_2_0);
    sum_2_1 = fma(a_2, b_1, sum_2_1);
    sum_2_2 = fma(a_2, b_2, sum_2_2);
    sum_2_3 = fma(a_2, b_3, sum_2_3);
    sum_3_0 = fma(a_3, b_0, sum_3_0);
    sum_3_1 = fma(a_3, b_1, sum_3_1);
    sum_3_2 = fma(a_3, b_2, sum_3_2);
    sum_3_3 = fma(a_3, b_3, sum_3_3);
  }
  var peak = 0.0;
  if (row_tile * 4u + 0u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_0 + out_column_0] = sum_0_0;
    peak = max(peak, abs(sum_0_0));
  }
  if (row_tile * 4u + 0u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_0 + out_column_1] = sum_0_1;
    peak = max(peak, abs(sum_0_1));
  }
  if (row_tile * 4u + 0u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_0 + out_column_2] = sum_0_2;
    peak = max(peak, abs(sum_0_2));
  }
  if (row_tile * 4u + 0u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_0 + out_column_3] = sum_0_3;
    peak = max(peak, abs(sum_0_3));
  }
  if (row_tile * 4u + 1u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_1 + out_column_0] = sum_1_0;
    peak = max(peak, abs(sum_1_0));
  }
  if (row_tile * 4u + 1u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_1 + out_column_1] = sum_1_1;
    peak = max(peak, abs(sum_1_1));
  }
  if (row_tile * 4u + 1u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_1 + out_column_2] = sum_1_2;
    peak = max(peak, abs(sum_1_2));
  }
  if (row_tile * 4u + 1u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_1 + out_column_3] = sum_1_3;
    peak = max(peak, abs(sum_1_3));
  }
  if (row_tile * 4u + 2u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_2 + out_column_0] = sum_2_0;
    peak = max(peak, abs(sum_2_0));
  }
  if (row_tile * 4u + 2u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_2 + out_column_1] = sum_2_1;
    peak = max(peak, abs(sum_2_1));
  }
  if (row_tile * 4u + 2u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_2 + out_column_2] = sum_2_2;
    peak = max(peak, abs(sum_2_2));
  }
  if (row_tile * 4u + 2u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_2 + out_column_3] = sum_2_3;
    peak = max(peak, abs(sum_2_3));
  }
  if (row_tile * 4u + 3u < 5u && column_tile * 4u + 0u < 11u) {
    out[out_3 + out_column_0] = sum_3_0;
    peak = max(peak, abs(sum_3_0));
  }
  if (row_tile * 4u + 3u < 5u && column_tile * 4u + 1u < 11u) {
    out[out_3 + out_column_1] = sum_3_1;
    peak = max(peak, abs(sum_3_1));
  }
  if (row_tile * 4u + 3u < 5u && column_tile * 4u + 2u < 11u) {
    out[out_3 + out_column_2] = sum_3_2;
    peak = max(peak, abs(sum_3_2));
  }
  if (row_tile * 4u + 3u < 5u && column_tile * 4u + 3u < 11u) {
    out[out_3 + out_column_3] = sum_3_3;
    peak = max(peak, abs(sum_3_3));
  }
  atomicMax(&largest[call.out_slot], bitcast<u32>(peak));
}
