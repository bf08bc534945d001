"""The heavy worker: contractions that a tab cannot hold, as durable jobs on Dask.

    request --security--> routes --JobRequest--> queue --execution--> ledger --Outcome--> store
                             |                     |                    |
                             +------ events <------+------ store -------+

``records`` are what crosses the wire, ``store`` and ``blobs`` are what survives a kill, ``queue``
decides whose turn it is, ``execution`` computes on Dask and knows nothing of HTTP. The package
imports ``tensorloom`` but never its view; nothing on the wire is ever executed or unpickled.
"""

from __future__ import annotations

__all__ = ["API", "VERSION"]

API = 1
"""Version of the HTTP interface; paths begin with ``/v1``."""

VERSION = "0.1.0"
"""Version of the service, the same as the library's."""
