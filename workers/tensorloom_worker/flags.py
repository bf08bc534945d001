"""The command line of the service; every field of ``Settings`` is a flag of it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from tensorloom_worker.settings import Settings, default_data_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["parser", "settings_of"]


MAX_PORT = 65535
_CLUSTER_TLS = ("scheduler_tls_ca", "scheduler_tls_cert", "scheduler_tls_key")


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tensorloom-worker: {message} (see {self.prog} --help)\n")


def parser(actions: Mapping[str, Callable[[argparse.Namespace], int]]) -> argparse.ArgumentParser:
    """The command line.

    Args:
        actions: What to do for ``serve``, ``rotate``, ``add``, ``remove``, ``list``, ``backup``.
    """
    root = _Parser(
        prog="tensorloom-worker", description="Serve contractions that a browser tab cannot hold."
    )
    root.set_defaults(run=actions["serve"])
    _data(root, default_data_folder())
    _listening(root)
    _computing(root)
    limits = root.add_argument_group("limits")
    for name, least, text in _LIMITS:
        _number_flag(limits, name, least, text)
    verbs = root.add_subparsers(metavar="COMMAND", required=False)
    token = verbs.add_parser("token", help="who may ask")
    kinds = token.add_subparsers(metavar="ACTION", required=True)
    rotate = kinds.add_parser("rotate", help="print a new token; the old one counts no longer")
    rotate.add_argument("name", metavar="NAME", type=_name, nargs="?", default="owner")
    add = kinds.add_parser("add", help="print the token of a new client with its own share")
    add.add_argument("name", metavar="NAME", type=_name)
    remove = kinds.add_parser("remove", help="a client may no longer ask")
    remove.add_argument("name", metavar="NAME", type=_name)
    listing = kinds.add_parser("list", help="print the names of all clients")
    backup = verbs.add_parser("backup", help="copy the database while the service runs")
    backup.add_argument("file", metavar="FILE", type=Path)
    for name, verb in (
        ("rotate", rotate),
        ("add", add),
        ("remove", remove),
        ("list", listing),
        ("backup", backup),
    ):
        verb.set_defaults(run=actions[name])
        _data(verb, argparse.SUPPRESS)
    return root


def _data(verb: argparse.ArgumentParser, default: Any) -> None:  # noqa: ANN401  # argparse's own
    verb.add_argument(
        "--data",
        dest="data_folder",
        metavar="FOLDER",
        type=Path,
        default=default,
        help="database, arrays and results; default ~/.local/share/tensorloom-worker",
    )


def _listening(root: argparse.ArgumentParser) -> None:
    usual = Settings()
    group = root.add_argument_group("where it listens")
    group.add_argument("--host", default=usual.host, help=f"default {usual.host}: this machine")
    group.add_argument(
        "--port", type=_number(0, MAX_PORT), default=usual.port, help=f"default {usual.port}"
    )
    group.add_argument(
        "--site", dest="site_folder", metavar="FOLDER", type=Path, help="a built site to serve"
    )
    for flag, name, word, text in (
        (
            "--allow-origin",
            "allowed_origins",
            "ORIGIN",
            "its pages may ask; repeat for more",
        ),
        ("--allow-host", "allowed_hosts", "NAME", "a name of the service; repeat for more"),
    ):
        group.add_argument(flag, dest=name, metavar=word, action="append", default=[], help=text)
    group.add_argument("--tls-cert", metavar="PEM", type=Path, help="certificate chain")
    group.add_argument("--tls-key", metavar="PEM", type=Path, help="its key")
    group.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], default=usual.log_level
    )


def _computing(root: argparse.ArgumentParser) -> None:
    group = root.add_argument_group("what computes")
    group.add_argument("--scheduler", default="local", help="address of a Dask scheduler")
    group.add_argument("--scheduler-tls-ca", metavar="PEM", type=Path, help="its authority")
    group.add_argument("--scheduler-tls-cert", metavar="PEM", type=Path, help="our certificate")
    group.add_argument("--scheduler-tls-key", metavar="PEM", type=Path, help="its key")
    for name, least, text in _COMPUTING:
        _number_flag(group, name, least, text)


_COMPUTING = (
    ("workers", 0, "worker processes of the local cluster, 0 for one per core"),
    ("threads", 1, "threads of each worker process"),
    ("concurrent_jobs", 1, "jobs that run at the same time"),
    ("turn_seconds", 1, "how long a job keeps its place while another client waits"),
    ("max_memory_bytes_per_worker", 0, "most memory of a worker process, 0 for a fair share"),
)

_LIMITS = (
    ("max_job_seconds", 1, "longest time of a job"),
    ("max_tensors", 1, "most tensors of a network"),
    ("max_queue", 1, "most jobs that wait"),
    ("max_jobs_per_token", 1, "most jobs of one client that wait or run"),
    ("max_streams_per_token", 1, "most streams of events that one client holds open"),
    ("max_body_bytes", 1024, "most bytes of a request"),
    ("max_upload_bytes", 1, "most bytes of an array file"),
    ("max_stored_bytes", 1, "most bytes of arrays and results of one client"),
    ("max_result_bytes", 1, "most bytes of a result"),
    ("keep_days", 1, "days that finished jobs and unused arrays are kept"),
    ("body_seconds", 1, "longest pause of a sender"),
)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _number_flag(group: argparse._ArgumentGroup, name: str, least: int, text: str) -> None:
    default = getattr(Settings(), name)
    group.add_argument(
        _flag(name),
        type=_number(least) if isinstance(default, int) else _seconds,
        default=default,
        metavar="N",
        help=f"{text}; default {default}",
    )


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"{value} is more than {most}")
        return value

    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time")
    return value


def _name(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= 60:  # noqa: PLR2004  # a short name
        raise argparse.ArgumentTypeError("a name has 1 to 60 printable characters")
    return text


def settings_of(given: argparse.Namespace) -> Settings:
    """The settings on a command line.

    Raises:
        ValueError: They contradict each other, or name what is not there.
    """
    known: dict[str, Any] = {field.name: getattr(given, field.name) for field in fields(Settings)}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    settings = Settings(**{**known, **lists})
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ValueError("--tls-cert and --tls-key go together.")
    if settings.site_folder is not None and not (settings.site_folder / "index.html").is_file():
        raise ValueError("The folder of --site holds no index.html. Build the site first.")
    for name in ("tls_cert", "tls_key", *_CLUSTER_TLS):
        file: Path | None = getattr(settings, name)
        if file is not None and not file.is_file():
            raise ValueError(f"The file of {_flag(name)} is not there: {file}")
    _check_scheduler(settings)
    return settings


def _check_scheduler(settings: Settings) -> None:
    """Nothing, when the address is one: Dask would stop half way, with warnings of its own."""
    address = settings.scheduler
    if address == "local" or address.startswith("gateway+"):
        return
    try:
        place = urlsplit(address if "://" in address else f"tcp://{address}")
        isgood = bool(place.hostname) and place.port is not None
    except ValueError:
        isgood = False
    if not isgood:
        raise ValueError(
            "The address of --scheduler is none. Write it like tcp://10.0.0.1:8786, or local."
        )
    if place.scheme == "tls" and None in {settings.scheduler_tls_ca, settings.scheduler_tls_cert}:
        raise ValueError(
            "A tls:// scheduler needs --scheduler-tls-ca, --scheduler-tls-cert and, unless the "
            "certificate's file holds it, --scheduler-tls-key."
        )
