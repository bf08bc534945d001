// 8f2cba05bc0146be: copies 16384 bytes per workgroup.
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> copy: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 1024u + lane;
  copy[first + 0u] = source[first + 0u];
  copy[first + 256u] = source[first + 256u];
  copy[first + 512u] = source[first + 512u];
  copy[first + 768u] = source[first + 768u];
}
