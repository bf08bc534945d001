"""What an engine can do, found in a page by other means than the site's own."""

from __future__ import annotations

__all__ = ["ABLE"]

ABLE = """
() => {
  const valid = (...body) => WebAssembly.validate(new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0,
    10, body.length + 4, 1, body.length + 2, 0, ...body, 11,
  ]));
  const zero = [253, 12, ...Array(16).fill(0)];
  return {
    jspi: typeof WebAssembly.promising === "function",
    webgpu: "gpu" in navigator,
    simd: valid(...zero, 26),
    relaxedSimd: valid(...zero, ...zero, ...zero, 253, 133, 2, 26),
  };
}
"""
"""Found in the page by other means than in the worker: what this engine can do."""
