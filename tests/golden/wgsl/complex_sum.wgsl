// 296deba9a660d141: out[batch, row, column] = sum over contracted of left * right, a workgroup per 1 x 1.
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

@group(0) @binding(0) var<storage, read> left: array<Stored, 300>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored, 1>;
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
var<workgroup> parts: array<Element, 64>;

fn total(lane: u32, mine: Element) -> Element {
  parts[lane] = mine;
  for (var half_way = 32u; half_way > 0u; half_way >>= 1u) {
    workgroupBarrier();
    if (lane < half_way) {
      parts[lane] += parts[lane + half_way];
    }
  }
  let sum = parts[0];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.x + group.y * 1u;
  if (block >= 1u) {
    return;
  }
  let batch = block / 1u;
  let row_first = ((block / 1u) % 1u) * 1u;
  let column_first = (block % 1u) * 1u;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let left_base = 0u;
  let out_base = 0u;

  let row_0 = min(row_first + 0u, 0u);
  let left_0 = left_base + 0u;
  let column_0 = min(column_first + 0u, 0u);
  var sum_0_0 = Element();
  for (var k = lane; k < 300u; k += 64u) {
    let left_step = k;
    let a_0 = left[left_0 + left_step] * left_scale;
    sum_0_0 += a_0;
  }
  let total_0_0 = total(lane, sum_0_0);
  if (lane == 0u) {
    var peak = 0.0;
    if (row_first + 0u < 1u && column_first + 0u < 1u) {
      out[out_base + 0u + 0u] = total_0_0;
      peak = max(peak, max(abs(total_0_0.x), abs(total_0_0.y)));
    }
    leave(peak);
  }
}
