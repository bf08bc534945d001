"""Carrying out jobs: sliced trees on Dask workers, with numpy and without HTTP.

    request -> search -> Strategy: tables made once, a main tree, the order of its slices
            -> TaskLayout: which slices make a task, fixed once per job
            -> tasks on workers (``tasks``): Runner, slices [a, b) -> Partial
            -> ledger: each partial once -> sums in task order -> Outcome

Everything below ``runner`` is a function from values to values; effects are in ``leaves``,
``pool``, ``tasks`` and ``executor``.
"""
