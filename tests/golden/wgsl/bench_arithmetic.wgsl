// d5919eb653d8e2fb: 2 x 4 sums per invocation, in registers alone.
struct Call {
  turns: u32,
}

// A factor, a summand, and a sum that is never reached: nobody can leave the loop out.
@group(0) @binding(0) var<storage, read> given: array<f32, 4>;
@group(0) @binding(2) var<storage, read_write> reached: array<f32, 4>;
@group(0) @binding(4) var<uniform> call: Call;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let factor = vec4<f32>(given[0]);
  let summand = vec4<f32>(given[1]);
  let first = vec4<f32>(f32(group.x % 64u), f32(lane % 64u), 1.0, 2.0);
  var sum_0 = first + 0.0;
  var sum_1 = first + 1.0;
  for (var turn = 0u; turn < call.turns; turn++) {
    sum_0 = fma(sum_0, factor, summand);
    sum_1 = fma(sum_1, factor, summand);
    sum_0 = fma(sum_0, factor, summand);
    sum_1 = fma(sum_1, factor, summand);
    sum_0 = fma(sum_0, factor, summand);
    sum_1 = fma(sum_1, factor, summand);
    sum_0 = fma(sum_0, factor, summand);
    sum_1 = fma(sum_1, factor, summand);
  }
  let all = sum_0 + sum_1;
  if (all.x + all.y + all.z + all.w == given[2]) {
    reached[0] = all.x;
  }
}
