"""Serves the worker with the executor of ``doubles``: for tests of clients, without Dask.

python tests/worker/serve_double.py --data FOLDER --port 8765
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from doubles import LocalExecutor  # after the path is set

from tensorloom_worker import __main__ as command  # the same

if __name__ == "__main__":
    command._executor = LocalExecutor
    sys.exit(command.main())
