// c3a5c9db40bd62ac: reads the same numbers again, from workgroup memory.
struct Call {
  turns: u32,
}

@group(0) @binding(0) var<storage, read> given: array<f32, 1024>;
@group(0) @binding(2) var<storage, read_write> reached: array<f32, 4>;
@group(0) @binding(4) var<uniform> call: Call;

var<workgroup> held: array<f32, 1024>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var number = lane; number < 1024u; number += 64u) {
    held[number] = given[number];
  }
  workgroupBarrier();
  var sum_0 = 0.0;
  var sum_1 = 0.0;
  var sum_2 = 0.0;
  var sum_3 = 0.0;
  var sum_4 = 0.0;
  var sum_5 = 0.0;
  var sum_6 = 0.0;
  var sum_7 = 0.0;
  for (var turn = 0u; turn < call.turns; turn++) {
    // Neighbours read neighbours, another part in each turn.
    let first = lane + turn * 512u;
    sum_0 += held[(first + 0u) & 1023u];
    sum_1 += held[(first + 64u) & 1023u];
    sum_2 += held[(first + 128u) & 1023u];
    sum_3 += held[(first + 192u) & 1023u];
    sum_4 += held[(first + 256u) & 1023u];
    sum_5 += held[(first + 320u) & 1023u];
    sum_6 += held[(first + 384u) & 1023u];
    sum_7 += held[(first + 448u) & 1023u];
  }
  let all = sum_0 + sum_1 + sum_2 + sum_3 + sum_4 + sum_5 + sum_6 + sum_7;
  // What is read is zero, so this never happens; but nobody can know that and leave the reads out.
  if (all == 1.0) {
    reached[0] = all;
  }
}
