"""Sweeping the data folder at a start: files that no row names are removed.

After a salvage a row may be lost while its file is sound: a result of days, an array that only its
owner had. Then such files are set aside, however often the start is stopped before that is done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tensorloom_worker.database import UNSWEPT

if TYPE_CHECKING:
    from tensorloom_worker.files import Files
    from tensorloom_worker.store import Store
    from tensorloom_worker.sums import StoredLedger

__all__ = ["sweep"]

_LOG = logging.getLogger("tensorloom_worker")


def sweep(store: Store, files: Files, ledger: StoredLedger) -> None:
    """Remove the files that no row names, or set them aside after a salvage.

    Raises:
        ExecutionError: ``disk-full``; the next start goes on.
    """
    aside = bool(store.rows("SELECT 1 FROM meta WHERE key = ?", UNSWEPT))
    count = files.sweep(
        arrays=store.known_arrays(),
        uploads=store.known_uploads(),
        jobs=store.known_jobs(),
        sums=ledger.file_names(),
        aside=aside,
    )
    if aside:
        if count:
            _LOG.error(
                "Files that the salvaged database does not name: %s; they lie in %s/.",
                count,
                files.damaged.name,
            )
        with store.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = ?", (UNSWEPT,))
