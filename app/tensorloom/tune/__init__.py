r"""Which kernel runs best on this device: records, search and memory. All pure.

measured curves --device--> DeviceRecord --kernels--> candidates --search--> best candidate
                                                                      \-> database, for next time

Candidates come from ``kernels.wasm.jit`` and ``kernels.gpu.space``, which know the shape. Effects
(clocks, engines, storage) are in ``execute``: ``tuning``, ``microbench``, ``kernel_store``.
"""
