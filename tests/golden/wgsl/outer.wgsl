// a0d4ac5f1a556f01: out[batch, row, column] = sum over contracted of left * right, a tile per invocation.
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

@compute @workgroup_size(2, 2)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
  let block = group.x + group.y * 2u;
  if (block >= 2u) {
    return;
  }
  let batch = block / 2u;
  let row_first = ((block / 2u) % 1u) * 8u + lane.y * 4u;
  let column_first = (block % 2u) * 8u + lane.x;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let left_base = 0u;
  let right_base = 0u;
  let out_base = 0u;

  let row_0 = min(row_first + 0u, 4u);
  let left_0 = left_base + row_0 * 7u;
  let row_1 = min(row_first + 1u, 4u);
  let left_1 = left_base + row_1 * 7u;
  let row_2 = min(row_first + 2u, 4u);
  let left_2 = left_base + row_2 * 7u;
  let row_3 = min(row_first + 3u, 4u);
  let left_3 = left_base + row_3 * 7u;
  let column_0 = min(column_first + 0u, 10u);
  let right_0 = right_base + column_0;
  let column_1 = min(column_first + 2u, 10u);
  let right_1 = right_base + column_1;
  let column_2 = min(column_first + 4u, 10u);
  let right_2 = right_base + column_2;
  let column_3 = min(column_first + 6u, 10u);
  let right_3 = right_base + column_3;
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
    let a_0_0 = left[left_0 + 0u] * left_scale;
    let a_1_0 = left[left_1 + 0u] * left_scale;
    let a_2_0 = left[left_2 + 0u] * left_scale;
    let a_3_0 = left[left_3 + 0u] * left_scale;
    let b_0_0 = right[right_0 + 0u] * right_scale;
    let b_1_0 = right[right_1 + 0u] * right_scale;
    let b_2_0 = right[right_2 + 0u] * right_scale;
    let b_3_0 = right[right_3 + 0u] * right_scale;
    sum_0_0 = fma(a_0_0, b_0_0, sum_0_0);
    sum_0_1 = fma(a_0_0, b_1_0, sum_0_1);
    sum_0_2 = fma(a_0_0, b_2_0, sum_0_2);
    sum_0_3 = fma(a_0_0, b_3_0, sum_0_3);
    sum_1_0 = fma(a_1_0, b_0_0, sum_1_0);
    sum_1_1 = fma(a_1_0, b_1_0, sum_1_1);
    sum_1_2 = fma(a_1_0, b_2_0, sum_1_2);
    sum_1_3 = fma(a_1_0, b_3_0, sum_1_3);
    sum_2_0 = fma(a_2_0, b_0_0, sum_2_0);
    sum_2_1 = fma(a_2_0, b_1_0, sum_2_1);
    sum_2_2 = fma(a_2_0, b_2_0, sum_2_2);
    sum_2_3 = fma(a_2_0, b_3_0, sum_2_3);
    sum_3_0 = fma(a_3_0, b_0_0, sum_3_0);
    sum_3_1 = fma(a_3_0, b_1_0, sum_3_1);
    sum_3_2 = fma(a_3_0, b_2_0, sum_3_2);
    sum_3_3 = fma(a_3_0, b_3_0, sum_3_3);
    let a_0_1 = left[left_0 + 1u] * left_scale;
    let a_1_1 = left[left_1 + 1u] * left_scale;
    let a_2_1 = left[left_2 + 1u] * left_scale;
    let a_3_1 = left[left_3 + 1u] * left_scale;
    let b_0_1 = right[right_0 + 11u] * right_scale;
    let b_1_1 = right[right_1 + 11u] * right_scale;
    let b_2_1 = right[right_2 + 11u] * right_scale;
    let b_3_1 = right[right_3 + 11u] * right_scale;
    sum_0_0 = fma(a_0_1, b_0_1, sum_0_0);
    sum_0_1 = fma(a_0_1, b_1_1, sum_0_1);
    sum_0_2 = fma(a_0_1, b_2_1, sum_0_2);
    sum_0_3 = fma(a_0_1, b_3_1, sum_0_3);
    sum_1_0 = fma(a_1_1, b_0_1, sum_1_0);
    sum_1_1 = fma(a_1_1, b_1_1, sum_1_1);
    sum_1_2 = fma(a_1_1, b_2_1, sum_1_2);
    sum_1_3 = fma(a_1_1, b_3_1, sum_1_3);
    sum_2_0 = fma(a_2_1, b_0_1, sum_2_0);
    sum_2_1 = fma(a_2_1, b_1_1, sum_2_1);
    sum_2_2 = fma(a_2_1, b_2_1, sum_2_2);
    sum_2_3 = fma(a_2_1, b_3_1, sum_2_3);
    sum_3_0 = fma(a_3_1, b_0_1, sum_3_0);
    sum_3_1 = fma(a_3_1, b_1_1, sum_3_1);
    sum_3_2 = fma(a_3_1, b_2_1, sum_3_2);
    sum_3_3 = fma(a_3_1, b_3_1, sum_3_3);
    let a_0_2 = left[left_0 + 2u] * left_scale;
    let a_1_2 = left[left_1 + 2u] * left_scale;
    let a_2_2 = left[left_2 + 2u] * left_scale;
    let a_3_2 = left[left_3 + 2u] * left_scale;
    let b_0_2 = right[right_0 + 22u] * right_scale;
    let b_1_2 = right[right_1 + 22u] * right_scale;
    let b_2_2 = right[right_2 + 22u] * right_scale;
    let b_3_2 = right[right_3 + 22u] * right_scale;
    sum_0_0 = fma(a_0_2, b_0_2, sum_0_0);
    sum_0_1 = fma(a_0_2, b_1_2, sum_0_1);
    sum_0_2 = fma(a_0_2, b_2_2, sum_0_2);
    sum_0_3 = fma(a_0_2, b_3_2, sum_0_3);
    sum_1_0 = fma(a_1_2, b_0_2, sum_1_0);
    sum_1_1 = fma(a_1_2, b_1_2, sum_1_1);
    sum_1_2 = fma(a_1_2, b_2_2, sum_1_2);
    sum_1_3 = fma(a_1_2, b_3_2, sum_1_3);
    sum_2_0 = fma(a_2_2, b_0_2, sum_2_0);
    sum_2_1 = fma(a_2_2, b_1_2, sum_2_1);
    sum_2_2 = fma(a_2_2, b_2_2, sum_2_2);
    sum_2_3 = fma(a_2_2, b_3_2, sum_2_3);
    sum_3_0 = fma(a_3_2, b_0_2, sum_3_0);
    sum_3_1 = fma(a_3_2, b_1_2, sum_3_1);
    sum_3_2 = fma(a_3_2, b_2_2, sum_3_2);
    sum_3_3 = fma(a_3_2, b_3_2, sum_3_3);
    let a_0_3 = left[left_0 + 3u] * left_scale;
    let a_1_3 = left[left_1 + 3u] * left_scale;
    let a_2_3 = left[left_2 + 3u] * left_scale;
    let a_3_3 = left[left_3 + 3u] * left_scale;
    let b_0_3 = right[right_0 + 33u] * right_scale;
    let b_1_3 = right[right_1 + 33u] * right_scale;
    let b_2_3 = right[right_2 + 33u] * right_scale;
    let b_3_3 = right[right_3 + 33u] * right_scale;
    sum_0_0 = fma(a_0_3, b_0_3, sum_0_0);
    sum_0_1 = fma(a_0_3, b_1_3, sum_0_1);
    sum_0_2 = fma(a_0_3, b_2_3, sum_0_2);
    sum_0_3 = fma(a_0_3, b_3_3, sum_0_3);
    sum_1_0 = fma(a_1_3, b_0_3, sum_1_0);
    sum_1_1 = fma(a_1_3, b_1_3, sum_1_1);
    sum_1_2 = fma(a_1_3, b_2_3, sum_1_2);
    sum_1_3 = fma(a_1_3, b_3_3, sum_1_3);
    sum_2_0 = fma(a_2_3, b_0_3, sum_2_0);
    sum_2_1 = fma(a_2_3, b_1_3, sum_2_1);
    sum_2_2 = fma(a_2_3, b_2_3, sum_2_2);
    sum_2_3 = fma(a_2_3, b_3_3, sum_2_3);
    sum_3_0 = fma(a_3_3, b_0_3, sum_3_0);
    sum_3_1 = fma(a_3_3, b_1_3, sum_3_1);
    sum_3_2 = fma(a_3_3, b_2_3, sum_3_2);
    sum_3_3 = fma(a_3_3, b_3_3, sum_3_3);
    let a_0_4 = left[left_0 + 4u] * left_scale;
    let a_1_4 = left[left_1 + 4u] * left_scale;
    let a_2_4 = left[left_2 + 4u] * left_scale;
    let a_3_4 = left[left_3 + 4u] * left_scale;
    let b_0_4 = right[right_0 + 44u] * right_scale;
    let b_1_4 = right[right_1 + 44u] * right_scale;
    let b_2_4 = right[right_2 + 44u] * right_scale;
    let b_3_4 = right[right_3 + 44u] * right_scale;
    sum_0_0 = fma(a_0_4, b_0_4, sum_0_0);
    sum_0_1 = fma(a_0_4, b_1_4, sum_0_1);
    sum_0_2 = fma(a_0_4, b_2_4, sum_0_2);
    sum_0_3 = fma(a_0_4, b_3_4, sum_0_3);
    sum_1_0 = fma(a_1_4, b_0_4, sum_1_0);
    sum_1_1 = fma(a_1_4, b_1_4, sum_1_1);
    sum_1_2 = fma(a_1_4, b_2_4, sum_1_2);
    sum_1_3 = fma(a_1_4, b_3_4, sum_1_3);
    sum_2_0 = fma(a_2_4, b_0_4, sum_2_0);
    sum_2_1 = fma(a_2_4, b_1_4, sum_2_1);
    sum_2_2 = fma(a_2_4, b_2_4, sum_2_2);
    sum_2_3 = fma(a_2_4, b_3_4, sum_2_3);
    sum_3_0 = fma(a_3_4, b_0_4, sum_3_0);
    sum_3_1 = fma(a_3_4, b_1_4, sum_3_1);
    sum_3_2 = fma(a_3_4, b_2_4, sum_3_2);
    sum_3_3 = fma(a_3_4, b_3_4, sum_3_3);
    let a_0_5 = left[left_0 + 5u] * left_scale;
    let a_1_5 = left[left_1 + 5u] * left_scale;
    let a_2_5 = left[left_2 + 5u] * left_scale;
    let a_3_5 = left[left_3 + 5u] * left_scale;
    let b_0_5 = right[right_0 + 55u] * right_scale;
    let b_1_5 = right[right_1 + 55u] * right_scale;
    let b_2_5 = right[right_2 + 55u] * right_scale;
    let b_3_5 = right[right_3 + 55u] * right_scale;
    sum_0_0 = fma(a_0_5, b_0_5, sum_0_0);
    sum_0_1 = fma(a_0_5, b_1_5, sum_0_1);
    sum_0_2 = fma(a_0_5, b_2_5, sum_0_2);
    sum_0_3 = fma(a_0_5, b_3_5, sum_0_3);
    sum_1_0 = fma(a_1_5, b_0_5, sum_1_0);
    sum_1_1 = fma(a_1_5, b_1_5, sum_1_1);
    sum_1_2 = fma(a_1_5, b_2_5, sum_1_2);
    sum_1_3 = fma(a_1_5, b_3_5, sum_1_3);
    sum_2_0 = fma(a_2_5, b_0_5, sum_2_0);
    sum_2_1 = fma(a_2_5, b_1_5, sum_2_1);
    sum_2_2 = fma(a_2_5, b_2_5, sum_2_2);
    sum_2_3 = fma(a_2_5, b_3_5, sum_2_3);
    sum_3_0 = fma(a_3_5, b_0_5, sum_3_0);
    sum_3_1 = fma(a_3_5, b_1_5, sum_3_1);
    sum_3_2 = fma(a_3_5, b_2_5, sum_3_2);
    sum_3_3 = fma(a_3_5, b_3_5, sum_3_3);
    let a_0_6 = left[left_0 + 6u] * left_scale;
    let a_1_6 = left[left_1 + 6u] * left_scale;
    let a_2_6 = left[left_2 + 6u] * left_scale;
    let a_3_6 = left[left_3 + 6u] * left_scale;
    let b_0_6 = right[right_0 + 66u] * right_scale;
    let b_1_6 = right[right_1 + 66u] * right_scale;
    let b_2_6 = right[right_2 + 66u] * right_scale;
    let b_3_6 = right[right_3 + 66u] * right_scale;
    sum_0_0 = fma(a_0_6, b_0_6, sum_0_0);
    sum_0_1 = fma(a_0_6, b_1_6, sum_0_1);
    sum_0_2 = fma(a_0_6, b_2_6, sum_0_2);
    sum_0_3 = fma(a_0_6, b_3_6, sum_0_3);
    sum_1_0 = fma(a_1_6, b_0_6, sum_1_0);
    sum_1_1 = fma(a_1_6, b_1_6, sum_1_1);
    sum_1_2 = fma(a_1_6, b_2_6, sum_1_2);
    sum_1_3 = fma(a_1_6, b_3_6, sum_1_3);
    sum_2_0 = fma(a_2_6, b_0_6, sum_2_0);
    sum_2_1 = fma(a_2_6, b_1_6, sum_2_1);
    sum_2_2 = fma(a_2_6, b_2_6, sum_2_2);
    sum_2_3 = fma(a_2_6, b_3_6, sum_2_3);
    sum_3_0 = fma(a_3_6, b_0_6, sum_3_0);
    sum_3_1 = fma(a_3_6, b_1_6, sum_3_1);
    sum_3_2 = fma(a_3_6, b_2_6, sum_3_2);
    sum_3_3 = fma(a_3_6, b_3_6, sum_3_3);
  var peak = 0.0;
  if (row_first + 0u < 5u) {
    let out_0 = out_base + row_0 * 11u;
    if (column_first + 0u < 11u) {
      out[out_0 + column_0] = sum_0_0;
      peak = max(peak, abs(sum_0_0));
    }
    if (column_first + 2u < 11u) {
      out[out_0 + column_1] = sum_0_1;
      peak = max(peak, abs(sum_0_1));
    }
    if (column_first + 4u < 11u) {
      out[out_0 + column_2] = sum_0_2;
      peak = max(peak, abs(sum_0_2));
    }
    if (column_first + 6u < 11u) {
      out[out_0 + column_3] = sum_0_3;
      peak = max(peak, abs(sum_0_3));
    }
  }
  if (row_first + 1u < 5u) {
    let out_1 = out_base + row_1 * 11u;
    if (column_first + 0u < 11u) {
      out[out_1 + column_0] = sum_1_0;
      peak = max(peak, abs(sum_1_0));
    }
    if (column_first + 2u < 11u) {
      out[out_1 + column_1] = sum_1_1;
      peak = max(peak, abs(sum_1_1));
    }
    if (column_first + 4u < 11u) {
      out[out_1 + column_2] = sum_1_2;
      peak = max(peak, abs(sum_1_2));
    }
    if (column_first + 6u < 11u) {
      out[out_1 + column_3] = sum_1_3;
      peak = max(peak, abs(sum_1_3));
    }
  }
  if (row_first + 2u < 5u) {
    let out_2 = out_base + row_2 * 11u;
    if (column_first + 0u < 11u) {
      out[out_2 + column_0] = sum_2_0;
      peak = max(peak, abs(sum_2_0));
    }
    if (column_first + 2u < 11u) {
      out[out_2 + column_1] = sum_2_1;
      peak = max(peak, abs(sum_2_1));
    }
    if (column_first + 4u < 11u) {
      out[out_2 + column_2] = sum_2_2;
      peak = max(peak, abs(sum_2_2));
    }
    if (column_first + 6u < 11u) {
      out[out_2 + column_3] = sum_2_3;
      peak = max(peak, abs(sum_2_3));
    }
  }
  if (row_first + 3u < 5u) {
    let out_3 = out_base + row_3 * 11u;
    if (column_first + 0u < 11u) {
      out[out_3 + column_0] = sum_3_0;
      peak = max(peak, abs(sum_3_0));
    }
    if (column_first + 2u < 11u) {
      out[out_3 + column_1] = sum_3_1;
      peak = max(peak, abs(sum_3_1));
    }
    if (column_first + 4u < 11u) {
      out[out_3 + column_2] = sum_3_2;
      peak = max(peak, abs(sum_3_2));
    }
    if (column_first + 6u < 11u) {
      out[out_3 + column_3] = sum_3_3;
      peak = max(peak, abs(sum_3_3));
    }
  }
  leave(peak);
}
