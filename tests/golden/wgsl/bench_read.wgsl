// 01528f76790bf15a: reads 16384 bytes per workgroup.
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> reached: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 1024u + lane;
  var sum = source[first];
  sum += source[first + 256u];
  sum += source[first + 512u];
  sum += source[first + 768u];
  // What is read is zero, so this never happens; but nobody can know that and leave the reads out.
  if (sum.x + sum.y + sum.z + sum.w == 1.0) {
    reached[0] = sum;
  }
}
