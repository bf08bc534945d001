"""The command line: ``python -m tensorloom_worker`` starts the service.

    python -m tensorloom_worker [FLAGS]                 start
    python -m tensorloom_worker token rotate [NAME]     a new token, printed once
    python -m tensorloom_worker token add|remove NAME   clients with shares of their own
    python -m tensorloom_worker token list
    python -m tensorloom_worker backup FILE             a copy of the database, while it runs

Bad input ends in one line on the error stream and exit status 2, never in a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from tensorloom.errors import TensorloomError
from tensorloom_worker import database, security
from tensorloom_worker.flags import parser, settings_of
from tensorloom_worker.store import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tensorloom_worker.ledger import Executor
    from tensorloom_worker.service import Service
    from tensorloom_worker.settings import Settings

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 for bad input.

    Args:
        arguments: Instead of those of the process.
    """
    try:
        given = parser(_ACTIONS).parse_args(arguments)
        return int(given.run(given))
    except (TensorloomError, OSError, ValueError, sqlite3.Error) as error:
        print(f"tensorloom-worker: {_reason(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _reason(error: Exception) -> str:
    """What went wrong, with the file if it was about one: who reads it sits at this machine."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"


def _executor(settings: Settings) -> Executor:
    from tensorloom_worker.execution.executor import Executor as Dask  # noqa: PLC0415  # slow to import

    # Dask says every connection, from its import on; what it warns of is worth a line.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    return Dask(settings)


def _serve(given: argparse.Namespace) -> int:
    from tensorloom_worker.app import WorkerApp  # noqa: PLC0415  # slow to import
    from tensorloom_worker.server import check_place, server_of  # noqa: PLC0415  # the same

    settings = settings_of(given)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    check_place(settings)
    app = WorkerApp(settings, _executor)
    server = server_of(app, settings, lambda port: _greet(settings, app.service, port))
    # The server stops by itself, and then raises the signal again: that must not end the process
    # before the cluster has been closed. One that comes while all starts is remembered.
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))

    async def run() -> None:
        await app.service.start()
        try:
            if not asked:
                await server.serve()
        finally:
            await app.service.close()

    asyncio.run(run())
    return 0


def _greet(settings: Settings, service: Service, port: int) -> None:
    """Say where it is, and the token when it is new; it counts from then on."""
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{scheme}://{host}:{port}"
    token = service.first_token
    print(f"\nThe heavy worker is at {address}")
    if token:
        print(f"Token (shown only now): {token}")
    if settings.site_folder is not None:
        connect = f"#worker={quote(address, safe='')}" + (f"&token={token}" if token else "")
        print(f"Workbench: {address}/{connect}")
    if not token:
        print("A new token: python -m tensorloom_worker token rotate")
    print("Stop with Ctrl+C; unfinished jobs go on at the next start.", flush=True)
    service.keep_first_token()  # requests are answered after this


def _store(given: argparse.Namespace) -> Store:
    folder: Path = given.data_folder
    if not (folder / database.FILE).is_file():
        raise ValueError("There is no database in the data folder; start the service once.")
    return Store(folder, check=False)


def _rotate(given: argparse.Namespace) -> int:
    store = _store(given)
    if given.name not in {client.name for client in store.clients()}:
        raise ValueError(f"There is no client called {given.name}; see 'token list'.")
    return _new_token(store, given.name)


def _add(given: argparse.Namespace) -> int:
    store = _store(given)
    if given.name in {client.name for client in store.clients()}:
        raise ValueError(f"There is a client called {given.name}; 'token rotate' renews its token.")
    return _new_token(store, given.name)


def _new_token(store: Store, name: str) -> int:
    token = security.new_token()
    store.put_token(name, security.hash_token(token))
    store.close()
    print(token)
    return 0


def _remove(given: argparse.Namespace) -> int:
    store = _store(given)
    if not store.remove_token(given.name):
        raise ValueError(f"There is no client called {given.name}; see 'token list'.")
    store.close()
    return 0


def _list(given: argparse.Namespace) -> int:
    store = _store(given)
    print("\n".join(client.name for client in store.clients()))
    store.close()
    return 0


def _backup(given: argparse.Namespace) -> int:
    if not (given.data_folder / database.FILE).is_file():
        raise ValueError("There is no database in the data folder.")
    size = database.backup(given.data_folder, given.file)
    print(f"{given.file}: {size} bytes")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "rotate": _rotate,
    "add": _add,
    "remove": _remove,
    "list": _list,
    "backup": _backup,
}


if __name__ == "__main__":
    sys.exit(main())
