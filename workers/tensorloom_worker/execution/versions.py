"""Which version of the package Dask workers have: another one than ours may compute otherwise.

A cluster of somebody else's is asked before any function of ours is sent there: a worker that does
not know one leaves its cluster, and whoever waits for it waits for ever. Workers that come later
find the version in each job.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from tensorloom.errors import WorkerUnreachable
from tensorloom_worker import VERSION

if TYPE_CHECKING:
    from tensorloom.errors import TensorloomError

__all__ = ["check_versions", "other_version"]

PLACE = "tensorloom_worker:VERSION"


async def check_versions(client: Any) -> None:  # noqa: ANN401  # a Dask client
    """Nothing, when the scheduler and all workers that are there have our version of the package.

    Raises:
        WorkerUnreachable: ``workers-differ``; the client is closed.
    """
    # Of the standard library, which everybody has.
    found = await client.run(resolve_name, PLACE, on_error="return")
    try:
        scheduler = await client.run_on_scheduler(resolve_name, PLACE)
    except (ImportError, AttributeError) as error:
        scheduler = error
    except ValueError:  # one that unpickles nothing, and so needs nothing of ours
        scheduler = VERSION
    whose = [("The Dask scheduler has", scheduler)]
    whose += [("Dask workers have", version) for version in found.values()]
    for who, version in whose:
        if isinstance(version, ImportError | AttributeError):
            await client.close()
            raise _differ(f"{who} no tensorloom.", {"here": VERSION})
        if isinstance(version, str) and version != VERSION:
            await client.close()
            raise other_version(version, here=VERSION, who=who)


def other_version(there: str, *, here: str, who: str = "Dask workers have") -> TensorloomError:
    """Why those with that version of the package compute nothing for a service with this."""
    values = {"here": here, "there": there}
    return _differ(f"{who} tensorloom {there[:40]}, not {here[:40]}.", values)


def _differ(message: str, values: dict[str, str]) -> TensorloomError:
    return WorkerUnreachable(
        "workers-differ",
        message,
        "Install the same version of tensorloom[worker] for the service, the Dask scheduler and "
        "all Dask workers.",
        values=values,
    )
