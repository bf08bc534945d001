// 409fc3668bb32eee: out[batch, row, column] = sum over contracted of left * right, through workgroup memory.
alias Element = vec2<f32>;
alias Stored = vec2<f32>;

struct Call {
  left_start: u32,
  right_start: u32,
  left_slot: u32,
  right_slot: u32,
  out_slot: u32,
  out_start: u32,
}

@group(0) @binding(0) var<storage, read> left: array<Stored>;
@group(0) @binding(1) var<storage, read> right: array<Stored>;
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
var<workgroup> left_block: array<Element, 32>;
var<workgroup> right_block: array<Element, 32>;

@compute @workgroup_size(4, 4)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let block = group.x + group.y * 6u;
  if (block >= 6u) {
    return;
  }
  let batch = block / 2u;
  let row_block = ((block / 2u) % 1u) * 8u;
  let column_block = (block % 2u) * 8u;
  let row_first = row_block + lane.y * 2u;
  let column_first = column_block + lane.x;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let left_base = call.left_start + batch * 35u;
  let right_base = call.right_start + batch * 77u;
  let out_base = batch * 55u;

  let left_line_0 = min(row_block + index / 4u, 4u);
  let left_start_0 = left_base + left_line_0 * 7u;
  let left_line_1 = min(row_block + (index + 16u) / 4u, 4u);
  let left_start_1 = left_base + left_line_1 * 7u;
  let right_line_0 = min(column_block + index % 8u, 10u);
  let right_start_0 = right_base + right_line_0;
  let right_line_1 = min(column_block + (index + 16u) % 8u, 10u);
  let right_start_1 = right_base + right_line_1;
  var sum_0_0 = Element();
  var sum_0_1 = Element();
  var sum_1_0 = Element();
  var sum_1_1 = Element();
  for (var k_block = 0u; k_block < 7u; k_block += 4u) {
    {
      let k = k_block + index % 4u;
      if (k < 7u) {
        left_block[(index % 4u) * 8u + index / 4u] = left[left_start_0 + k] * left_scale;
      } else {
        left_block[(index % 4u) * 8u + index / 4u] = Element();
      }
    }
    {
      let k = k_block + (index + 16u) % 4u;
      if (k < 7u) {
        left_block[((index + 16u) % 4u) * 8u + (index + 16u) / 4u] = left[left_start_1 + k] * left_scale;
      } else {
        left_block[((index + 16u) % 4u) * 8u + (index + 16u) / 4u] = Element();
      }
    }
    {
      let k = k_block + index / 8u;
      if (k < 7u) {
        right_block[(index / 8u) * 8u + index % 8u] = right[right_start_0 + k * 11u] * right_scale;
      } else {
        right_block[(index / 8u) * 8u + index % 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 16u) / 8u;
      if (k < 7u) {
        right_block[((index + 16u) / 8u) * 8u + (index + 16u) % 8u] = right[right_start_1 + k * 11u] * right_scale;
      } else {
        right_block[((index + 16u) / 8u) * 8u + (index + 16u) % 8u] = Element();
      }
    }
    workgroupBarrier();
    for (var deep = 0u; deep < 4u; deep++) {
      let a_0 = left_block[deep * 8u + lane.y * 2u + 0u];
      let a_1 = left_block[deep * 8u + lane.y * 2u + 1u];
      let b_0 = right_block[deep * 8u + lane.x + 0u];
      let b_1 = right_block[deep * 8u + lane.x + 4u];
      sum_0_0 = fma(vec2<f32>(a_0.x), b_0, sum_0_0); sum_0_0 = fma(vec2<f32>(-a_0.y, a_0.y), b_0.yx, sum_0_0);
      sum_0_1 = fma(vec2<f32>(a_0.x), b_1, sum_0_1); sum_0_1 = fma(vec2<f32>(-a_0.y, a_0.y), b_1.yx, sum_0_1);
      sum_1_0 = fma(vec2<f32>(a_1.x), b_0, sum_1_0); sum_1_0 = fma(vec2<f32>(-a_1.y, a_1.y), b_0.yx, sum_1_0);
      sum_1_1 = fma(vec2<f32>(a_1.x), b_1, sum_1_1); sum_1_1 = fma(vec2<f32>(-a_1.y, a_1.y), b_1.yx, sum_1_1);
    }
    workgroupBarrier();
  }
  let column_0 = column_first + 0u;
  let column_1 = column_first + 4u;
  var peak = 0.0;
  if (row_first + 0u < 5u) {
    let row_0 = row_first + 0u;
    let out_0 = out_base + row_0 * 11u;
    if (column_first + 0u < 11u) {
      out[out_0 + column_0] = sum_0_0;
      peak = max(peak, max(abs(sum_0_0.x), abs(sum_0_0.y)));
    }
    if (column_first + 4u < 11u) {
      out[out_0 + column_1] = sum_0_1;
      peak = max(peak, max(abs(sum_0_1.x), abs(sum_0_1.y)));
    }
  }
  if (row_first + 1u < 5u) {
    let row_1 = row_first + 1u;
    let out_1 = out_base + row_1 * 11u;
    if (column_first + 0u < 11u) {
      out[out_1 + column_0] = sum_1_0;
      peak = max(peak, max(abs(sum_1_0.x), abs(sum_1_0.y)));
    }
    if (column_first + 4u < 11u) {
      out[out_1 + column_1] = sum_1_1;
      peak = max(peak, max(abs(sum_1_1.x), abs(sum_1_1.y)));
    }
  }
  leave(peak);
}
