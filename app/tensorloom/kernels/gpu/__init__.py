"""WebGPU kernels: WGSL text from templates, and the plan that a device replays.

KernelSpec --wgsl.render--> Shader --plan.gpu_plan--> GpuPlan
"""
