// 63e185fe0087bb6c: out[batch, row, column] = sum over contracted of left * right, a tile per invocation.
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

@group(0) @binding(0) var<storage, read> left: array<Stored, 110>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored, 55>;
@group(0) @binding(3) var<storage, read_write> largest: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> call: Call;

// Keeps the largest magnitude of the result; most invocations only look.
fn leave(peak: f32) {
  let bits = bitcast<u32>(peak);
  if (bits > atomicLoad(&largest[call.out_slot])) {
    atomicMax(&largest[call.out_slot], bits);
  }
}

@compute @workgroup_size(1, 4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
  let block = group.x + group.y * 14u;
  if (block >= 14u) {
    return;
  }
  let batch = block / 14u;
  let row_first = ((block / 1u) % 14u) * 4u + lane.y;
  let column_first = (block % 1u) * 1u + lane.x;
  let left_base = 0u;
  let out_base = 0u;

  let row_0 = min(row_first + 0u, 54u);
  let left_0 = left_base + (row_0 / 11u) * 11u + (row_0 % 11u);
  let column_0 = column_first + 0u;
  var sum_0_0 = Element();
  for (var k0 = 0u; k0 < 2u; k0 += 1u) {
    let a_0_0 = left[left_0 + k0 * 55u];
    sum_0_0 += a_0_0;
  }
  var peak = 0.0;
  if (row_first + 0u < 55u) {
    let out_0 = out_base + (row_0 / 11u) * 11u + (row_0 % 11u);
      out[out_0 + 0u] = sum_0_0;
      peak = max(peak, abs(sum_0_0));
  }
  leave(peak);
}
