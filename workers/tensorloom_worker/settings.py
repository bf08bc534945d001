"""What the service is started with; every field is a flag of the command line.

``docs/worker.md`` documents each flag; a test compares.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Settings", "default_data_folder"]

MIB = 2**20
GIB = 2**30


def default_data_folder() -> Path:
    """Where a user's programs keep data, by the convention of the desktop."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "tensorloom-worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the service is started with.

    Args:
        data_folder: Database, arrays and results.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        site_folder: A built site to serve at ``/``; ``None`` for none.
        scheduler: ``local``, or the address of a Dask scheduler.
        workers: Worker processes of the local cluster; 0 for one per core.
        threads: Threads of each of them.
        allowed_origins: Origins of pages that may ask, beside our own; ``*`` for any.
        allowed_hosts: Names by which the service may be called, beside the loopback ones.
        tls_cert: Certificate chain (PEM).
        tls_key: Its key (PEM).
        scheduler_tls_ca: Authority of the cluster's certificates (PEM).
        scheduler_tls_cert: Our certificate for the cluster (PEM).
        scheduler_tls_key: Its key (PEM).
        max_body_bytes: Most bytes of a JSON body.
        max_tensors: Most tensors of a network.
        max_memory_bytes_per_worker: Most that one worker process may use; 0 for a share of what
            the machine has.
        max_job_seconds: Longest a job may run.
        max_queue: Most jobs that wait, over all tokens.
        max_jobs_per_token: Most jobs of one token that wait or run.
        max_streams_per_token: Most streams of events that one token holds open.
        max_upload_bytes: Most bytes of one array file.
        max_stored_bytes: Most bytes of arrays and results of one token.
        max_result_bytes: Most bytes of a result.
        concurrent_jobs: Jobs that run at the same time; one of several is never a path search.
        turn_seconds: How long a job keeps its place while another token waits without one.
        keep_days: Days that unused arrays and finished jobs are kept.
        body_seconds: Longest pause of a sender, and longest time for a JSON body.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
    """

    data_folder: Path = field(default_factory=default_data_folder)
    host: str = "127.0.0.1"
    port: int = 8765
    site_folder: Path | None = None
    scheduler: str = "local"
    workers: int = 0
    threads: int = 1
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    scheduler_tls_ca: Path | None = None
    scheduler_tls_cert: Path | None = None
    scheduler_tls_key: Path | None = None
    max_body_bytes: int = 8 * MIB
    max_tensors: int = 20_000
    max_memory_bytes_per_worker: int = 0
    max_job_seconds: int = 7 * 86_400
    max_queue: int = 10_000
    max_jobs_per_token: int = 2_000
    max_streams_per_token: int = 32
    max_upload_bytes: int = 8 * GIB
    max_stored_bytes: int = 64 * GIB
    max_result_bytes: int = 8 * GIB
    concurrent_jobs: int = 2
    turn_seconds: float = 120.0
    keep_days: int = 30
    body_seconds: float = 30.0
    log_level: str = "info"
