"""Programs on WebGPU: one replay for the page's device and for a native one."""
