"""Program + arrays -> Result, on numpy, WASM or WebGPU. All effects on devices live here."""
