// 5373c83a4b68aa28: out[batch, row, column] = sum over contracted of left * right, through strides.
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

@group(0) @binding(0) var<storage, read> left: array<Element, 12>;
@group(0) @binding(2) var<storage, read_write> out: array<Element, 12>;
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
  if (tile >= 3u) {
    return;
  }
  let column_tile = tile % 1u;
  let row_tile = (tile / 1u) % 3u;
  let batch = tile / 3u;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let left_base = call.left_start + 0u;
  let out_base = 0u;
  let row_0 = min(row_tile * 4u + 0u, 11u);
  let left_0 = left_base + (row_0 / 4u) + (row_0 % 4u) * 3u;
  let out_0 = out_base + (row_0 / 4u) * 4u + (row_0 % 4u);
  let row_1 = min(row_tile * 4u + 1u, 11u);
  let left_1 = left_base + (row_1 / 4u) + (row_1 % 4u) * 3u;
  let out_1 = out_base + (row_1 / 4u) * 4u + (row_1 % 4u);
  let row_2 = min(row_tile * 4u + 2u, 11u);
  let left_2 = left_base + (row_2 / 4u) + (row_2 % 4u) * 3u;
  let out_2 = out_base + (row_2 / 4u) * 4u + (row_2 % 4u);
  let row_3 = min(row_tile * 4u + 3u, 11u);
  let left_3 = left_base + (row_3 / 4u) + (row_3 % 4u) * 3u;
  let out_3 = out_base + (row_3 / 4u) * 4u + (row_3 % 4u);
  let column_0 = min(column_tile * 1u + 0u, 0u);
  let out_column_0 = 0u;
  var sum_0_0 = Element();
  var sum_1_0 = Element();
  var sum_2_0 = Element();
  var sum_3_0 = Element();
    let left_step = 0u;
    let a_0 = left[left_0 + left_step] * left_scale;
    let a_1 = left[left_1 + left_step] * left_scale;
    let a_2 = left[left_2 + left_step] * left_scale;
    let a_3 = left[left_3 + left_step] * left_scale;
    sum_0_0 += a_0;
    sum_1_0 += a_1;
    sum_2_0 += a_2;
    sum_3_0 += a_3;
  var peak = 0.0;
  if (row_tile * 4u + 0u < 12u && column_tile * 1u + 0u < 1u) {
    out[out_0 + out_column_0] = sum_0_0;
    peak = max(peak, abs(sum_0_0));
  }
  if (row_tile * 4u + 1u < 12u && column_tile * 1u + 0u < 1u) {
    out[out_1 + out_column_0] = sum_1_0;
    peak = max(peak, abs(sum_1_0));
  }
  if (row_tile * 4u + 2u < 12u && column_tile * 1u + 0u < 1u) {
    out[out_2 + out_column_0] = sum_2_0;
    peak = max(peak, abs(sum_2_0));
  }
  if (row_tile * 4u + 3u < 12u && column_tile * 1u + 0u < 1u) {
    out[out_3 + out_column_0] = sum_3_0;
    peak = max(peak, abs(sum_3_0));
  }
  atomicMax(&largest[call.out_slot], bitcast<u32>(peak));
}
