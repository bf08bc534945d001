// 328c95f95ca61220: out[batch, row, column] = sum over contracted of left * right, through workgroup memory.
alias Element = f32;
alias Stored = f32;

@group(0) @binding(0) var<storage, read> left: array<Stored, 35>;
@group(0) @binding(1) var<storage, read> right: array<Stored, 77>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored, 55>;
var<workgroup> left_block: array<Element, 64>;
var<workgroup> right_block: array<Element, 64>;

@compute @workgroup_size(4, 4)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let block = group.x + group.y * 2u;
  if (block >= 2u) {
    return;
  }
  let batch = block / 2u;
  let row_block = ((block / 2u) % 1u) * 8u;
  let column_block = (block % 2u) * 8u;
  let row_first = row_block + lane.y * 2u;
  let column_first = column_block + lane.x;
  let left_base = 0u;
  let right_base = 0u;
  let out_base = 0u;

  let left_line_0 = min(row_block + index / 8u, 4u);
  let left_start_0 = left_base + left_line_0 * 7u;
  let left_line_1 = min(row_block + (index + 16u) / 8u, 4u);
  let left_start_1 = left_base + left_line_1 * 7u;
  let left_line_2 = min(row_block + (index + 32u) / 8u, 4u);
  let left_start_2 = left_base + left_line_2 * 7u;
  let left_line_3 = min(row_block + (index + 48u) / 8u, 4u);
  let left_start_3 = left_base + left_line_3 * 7u;
  let right_line_0 = min(column_block + index % 8u, 10u);
  let right_start_0 = right_base + right_line_0;
  let right_line_1 = min(column_block + (index + 16u) % 8u, 10u);
  let right_start_1 = right_base + right_line_1;
  let right_line_2 = min(column_block + (index + 32u) % 8u, 10u);
  let right_start_2 = right_base + right_line_2;
  let right_line_3 = min(column_block + (index + 48u) % 8u, 10u);
  let right_start_3 = right_base + right_line_3;
  var sum_0_0 = Element();
  var sum_0_1 = Element();
  var sum_1_0 = Element();
  var sum_1_1 = Element();
  for (var k_block = 0u; k_block < 7u; k_block += 8u) {
    {
      let k = k_block + index % 8u;
      if (k < 7u) {
        left_block[(index % 8u) * 8u + index / 8u] = left[left_start_0 + k];
      } else {
        left_block[(index % 8u) * 8u + index / 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 16u) % 8u;
      if (k < 7u) {
        left_block[((index + 16u) % 8u) * 8u + (index + 16u) / 8u] = left[left_start_1 + k];
      } else {
        left_block[((index + 16u) % 8u) * 8u + (index + 16u) / 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 32u) % 8u;
      if (k < 7u) {
        left_block[((index + 32u) % 8u) * 8u + (index + 32u) / 8u] = left[left_start_2 + k];
      } else {
        left_block[((index + 32u) % 8u) * 8u + (index + 32u) / 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 48u) % 8u;
      if (k < 7u) {
        left_block[((index + 48u) % 8u) * 8u + (index + 48u) / 8u] = left[left_start_3 + k];
      } else {
        left_block[((index + 48u) % 8u) * 8u + (index + 48u) / 8u] = Element();
      }
    }
    {
      let k = k_block + index / 8u;
      if (k < 7u) {
        right_block[(index / 8u) * 8u + index % 8u] = right[right_start_0 + k * 11u];
      } else {
        right_block[(index / 8u) * 8u + index % 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 16u) / 8u;
      if (k < 7u) {
        right_block[((index + 16u) / 8u) * 8u + (index + 16u) % 8u] = right[right_start_1 + k * 11u];
      } else {
        right_block[((index + 16u) / 8u) * 8u + (index + 16u) % 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 32u) / 8u;
      if (k < 7u) {
        right_block[((index + 32u) / 8u) * 8u + (index + 32u) % 8u] = right[right_start_2 + k * 11u];
      } else {
        right_block[((index + 32u) / 8u) * 8u + (index + 32u) % 8u] = Element();
      }
    }
    {
      let k = k_block + (index + 48u) / 8u;
      if (k < 7u) {
        right_block[((index + 48u) / 8u) * 8u + (index + 48u) % 8u] = right[right_start_3 + k * 11u];
      } else {
        right_block[((index + 48u) / 8u) * 8u + (index + 48u) % 8u] = Element();
      }
    }
    workgroupBarrier();
    for (var deep = 0u; deep < 8u; deep++) {
      let a_0 = left_block[deep * 8u + lane.y * 2u + 0u];
      let a_1 = left_block[deep * 8u + lane.y * 2u + 1u];
      let b_0 = right_block[deep * 8u + lane.x + 0u];
      let b_1 = right_block[deep * 8u + lane.x + 4u];
      sum_0_0 = fma(a_0, b_0, sum_0_0);
      sum_0_1 = fma(a_0, b_1, sum_0_1);
      sum_1_0 = fma(a_1, b_0, sum_1_0);
      sum_1_1 = fma(a_1, b_1, sum_1_1);
    }
    workgroupBarrier();
  }
  let column_0 = column_first + 0u;
  let column_1 = column_first + 4u;
  if (row_first + 0u < 5u) {
    let row_0 = row_first + 0u;
    let out_0 = out_base + row_0 * 11u;
    if (column_first + 0u < 11u) {
      out[out_0 + column_0] = sum_0_0;
    }
    if (column_first + 4u < 11u) {
      out[out_0 + column_1] = sum_0_1;
    }
  }
  if (row_first + 1u < 5u) {
    let row_1 = row_first + 1u;
    let out_1 = out_base + row_1 * 11u;
    if (column_first + 0u < 11u) {
      out[out_1 + column_0] = sum_1_0;
    }
    if (column_first + 4u < 11u) {
      out[out_1 + column_1] = sum_1_1;
    }
  }
}
