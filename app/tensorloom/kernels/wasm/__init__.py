r"""WebAssembly kernels: schedules, modules and records; bytes from a typed assembler.

KernelSpec --schedule--> Schedule --modules--> bytes
                            \-> records --> driver.run
"""
