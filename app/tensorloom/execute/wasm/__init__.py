"""Programs on WebAssembly SIMD, in place on the memory numpy's arrays live in."""
