"""Tensorloom: draw a tensor network, plan its contraction, run it anywhere.

>>> import tensorloom
>>> tensorloom.contract("ij,jk->ik", [[1.0, 2.0]], [[3.0], [4.0]])
array([[11.]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.derivatives import gradient
    from tensorloom.engine import contract, contract_network

__all__ = ["contract", "contract_network", "gradient"]


def __getattr__(name: str) -> object:
    """Public names, imported when first asked for: the search worker has no back ends."""
    if name in __all__:
        from tensorloom import derivatives, engine  # noqa: PLC0415  # see above

        return getattr(derivatives if name == "gradient" else engine, name)
    raise AttributeError(f"module 'tensorloom' has no attribute '{name}'")
