"""``/v1/health``, ``/v1/about``, ``/v1/token/rotate``."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response  # noqa: TC002  # FastAPI reads annotations

from tensorloom_worker import API, VERSION
from tensorloom_worker.records import About, Health, Token
from tensorloom_worker.routes.common import BEARER, Asker, json_of, refusals, service_of

__all__ = ["open_router", "router"]

open_router = APIRouter(prefix="/v1", tags=["service"])
router = APIRouter(prefix="/v1", tags=["service"], dependencies=[Depends(BEARER)])


@open_router.get("/health", response_model=Health, responses=refusals())
async def health() -> Response:
    """That the service is there."""
    return json_of(Health(version=VERSION, api=API))


@router.get("/about", response_model=About, responses=refusals())
async def about(request: Request) -> Response:
    """What the service has and allows."""
    return json_of(service_of(request).about())


@router.post("/token/rotate", response_model=Token, responses=refusals(507))
async def rotate(request: Request, client: Asker) -> Response:
    """A new token for the client that asks; the old one counts no longer."""
    return json_of(Token(token=service_of(request).rotate(client)))
