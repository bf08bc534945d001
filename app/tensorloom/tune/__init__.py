r"""Which kernel runs best on this device: records, rules, search and memory. All pure.

measured curves --device--> DeviceRecord --rules--> survivors of a space --search--> best candidate
                                                                       \-> database, for next time

Effects (clocks, engines, storage) are in ``execute``: ``tuning``, ``microbench``, ``kernel_store``.
"""
