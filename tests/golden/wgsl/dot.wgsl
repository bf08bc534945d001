// e248d16f79d0d2c9: out[batch, row, column] = sum over contracted of left * right, one workgroup per output.
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

@group(0) @binding(0) var<storage, read> left: array<Element, 300>;
@group(0) @binding(1) var<storage, read> right: array<Element, 300>;
@group(0) @binding(2) var<storage, read_write> out: array<Element, 1>;
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

var<workgroup> parts: array<Element, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let tile = group.x + group.y * 1u;
  // The same for all lanes of a workgroup, so barriers below stay uniform; late groups write nothing.
  let known = min(tile, 0u);
  let column_0 = known % 1u;
  let row_0 = (known / 1u) % 1u;
  let batch = known / 1u;
  let left_scale = unscale(atomicLoad(&largest[call.left_slot]));
  let left_base = call.left_start + 0u + 0u;
  let right_scale = unscale(atomicLoad(&largest[call.right_slot]));
  let right_base = call.right_start + 0u + 0u;
  var sum = Element();
  for (var k = lane; k < 300u; k += 64u) {
    let a = left[left_base + k] * left_scale;
    let b = right[right_base + k] * right_scale;
    sum = fma(a, b, sum);
  }
  parts[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) {
      parts[lane] += parts[lane + half];
    }
  }
  if (lane == 0u && tile < 1u) {
    let total = parts[0];
    out[0u + 0u + 0u] = total;
    let peak = abs(total);
    atomicMax(&largest[call.out_slot], bitcast<u32>(peak));
  }
}
