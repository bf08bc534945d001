"""``/v1/arrays``: resumable uploads, found by the hash of their bytes."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response

from tensorloom_worker.body import chunks
from tensorloom_worker.checking import read_query
from tensorloom_worker.records import ArrayStates
from tensorloom_worker.routes.common import (
    BEARER,
    Asker,
    body_of,
    json_body_of,
    json_of,
    refusals,
    service_of,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1/arrays", tags=["arrays"], dependencies=[Depends(BEARER)])

Sha = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file's bytes, in hexadecimal.")
]
Size = Annotated[int, Query(ge=1, lt=2**53, description="Bytes of the whole file.")]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, lt=2**53)]

_HEADERS = {
    name: {"schema": {"type": "integer"}, "description": text}
    for name, text in (
        ("Upload-Offset", "Bytes that are here."),
        ("Upload-Length", "Bytes of the whole file."),
    )
}


def _where(here: int, length: int) -> dict[str, str]:
    return {"Upload-Offset": str(here), "Upload-Length": str(length)}


@router.post(
    "/query",
    response_model=ArrayStates,
    responses=refusals(408, 413, 415),
    openapi_extra=body_of("ArraysQuery"),
)
async def how_far_all(request: Request, client: Asker) -> Response:
    """How much of each file is here; what is missing is no error, as it is for ``HEAD``."""
    query = read_query(await json_body_of(request))
    uploads = service_of(request).uploads
    return json_of(await asyncio.to_thread(uploads.states, client, query))


@router.head(
    "/{sha256}",
    response_class=Response,
    responses={**refusals(404), 200: {"description": "How far it came.", "headers": _HEADERS}},
)
async def how_far(request: Request, client: Asker, sha256: Sha) -> Response:
    """How much of a file is here, in ``Upload-Offset`` and ``Upload-Length``."""
    here, length = service_of(request).uploads.state(client, sha256)
    return Response(status_code=200, headers=_where(here, length))


@router.patch(
    "/{sha256}",
    status_code=204,
    responses={
        **refusals(404, 408, 409, 413, 415, 429, 507),
        204: {"description": "How far it came.", "headers": _HEADERS},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def append(
    request: Request, client: Asker, sha256: Sha, length: Size, upload_offset: Offset
) -> Response:
    """Append bytes of a ``.npy`` or safetensors file; it is checked when the last one is here."""
    service = service_of(request)
    body = chunks(
        request,
        limit=service.settings.max_upload_bytes,
        pause_s=service.settings.body_seconds,
    )
    here = await service.uploads.append(client, sha256, body, offset=upload_offset, length=length)
    return Response(status_code=204, headers=_where(here, length))


@router.delete("/{sha256}", status_code=204, responses=refusals(404, 409, 507))
async def remove(request: Request, client: Asker, sha256: Sha) -> Response:
    """Forget a file that no unfinished job uses."""
    await service_of(request).uploads.remove(client, sha256)
    return Response(status_code=204)
