"""Plan -> Program (buffers, kernels, dispatches) -> WGSL text or WASM bytes. Pure."""
