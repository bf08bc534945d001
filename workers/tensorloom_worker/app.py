"""The ASGI app: routes, errors as records, the guard around them, the site beside them."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tensorloom.errors import InputError, TensorloomError
from tensorloom_worker import VERSION
from tensorloom_worker.records import JOB_REQUEST, ArraysQuery
from tensorloom_worker.refusals import internal, rejected, status_of
from tensorloom_worker.routes import about, arrays, jobs, streams
from tensorloom_worker.security import Guard, cross_origin, who
from tensorloom_worker.service import Service
from tensorloom_worker.site import SiteFiles, SiteMount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tensorloom_worker.ledger import Executor
    from tensorloom_worker.settings import Settings

__all__ = ["WorkerApp"]

RETRY_AFTER_S = 5
_NOT_FOUND = 404
_NOT_ALLOWED = 405
_LOG = logging.getLogger("tensorloom_worker")


class WorkerApp:
    """The whole service as one ASGI app.

    Args:
        settings: What it is started with.
        executor: Makes what computes.
    """

    def __init__(self, settings: Settings, executor: Callable[[Settings], Executor]) -> None:
        self.service = Service(settings, executor)
        self.fastapi = _fastapi(self.service)
        guarded = Guard(self.fastapi, settings, lambda token: who(self.service.store, token))
        self._app: ASGIApp = cross_origin(guarded, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, send)


def _fastapi(service: Service) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Tensorloom heavy worker",
        version=VERSION,
        description="Contractions that a tab cannot hold, as durable jobs.",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they would load scripts of other origins
        redoc_url=None,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.service = service
    for router in (about.open_router, about.router, arrays.router, jobs.router, streams.router):
        app.include_router(router)
    if service.settings.site_folder is not None:
        files = SiteFiles(service.settings.site_folder)
        app.router.routes.append(SiteMount("/", files, name="site"))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_exception_handler(TensorloomError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _bug)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document with the request bodies, which routes read themselves."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schema = JOB_REQUEST.json_schema(ref_template="#/components/schemas/{model}")
        components = document["components"]["schemas"]
        components.update(schema.pop("$defs"))
        components["JobRequest"] = schema
        components["ArraysQuery"] = ArraysQuery.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            components.pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TensorloomError)
    status = status_of(error)
    headers = {}
    if status in {429, 503, 507}:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if error.code in {"sender-too-slow", "request-too-big", "upload-too-big"}:
        headers["Connection"] = "close"
    if error.code == "upload-offset":
        headers["Upload-Offset"] = str(error.values["offset"])
        headers["Upload-Length"] = str(error.values["length"])
    return JSONResponse(error.to_json(), status, headers=headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """A path, query or header that does not fit."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()[0]
    place = str(found["loc"][-1])[:80]
    values = {"field": place}
    if found["type"] == "missing":
        refusal = InputError(
            "missing-field",
            f"The field '{place}' of the request is missing.",
            "Add it.",
            values=values,
        )
    else:
        wanted = str(found["msg"])
        refusal = InputError(
            "bad-field",
            f"The field '{place}' of the request cannot be used: {wanted[:1].lower()}{wanted[1:]}.",
            "The interface's description, /v1/openapi.json, says what it may be.",
            values=values,
        )
    return JSONResponse(refusal.to_json(), status_of(refusal))


async def _plain(_request: Request, error: Exception) -> JSONResponse:
    """What Starlette says by itself: no such address, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == _NOT_ALLOWED:
        refusal = rejected(
            "method-not-allowed",
            "This address does not know the method.",
            "/v1/openapi.json says which it knows.",
        )
    else:
        refusal = rejected(
            "no-such-address",
            "There is nothing at this address.",
            "/v1/openapi.json lists the addresses.",
        )
    status = status_of(refusal)
    return JSONResponse(refusal.to_json(), status, headers=error.headers)


async def _bug(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    refusal = internal()
    return JSONResponse(refusal.to_json(), status_of(refusal))
