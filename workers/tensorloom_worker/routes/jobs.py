"""``/v1/estimates`` and ``/v1/jobs``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse, Response

from tensorloom_worker.records import Estimate, Job, JobList
from tensorloom_worker.refusals import rejected
from tensorloom_worker.routes.common import (
    BEARER,
    Asker,
    JobId,
    body_of,
    json_body_of,
    json_of,
    refusals,
    service_of,
    while_heard,
)

if TYPE_CHECKING:
    from starlette.requests import Request as PlainRequest

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["jobs"], dependencies=[Depends(BEARER)])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9_-]{8,128}$",
        description="Made anew for each job; sent again when no answer came.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most jobs to list.")]
Before = Annotated[
    str | None,
    Query(
        pattern="^[0-9]{1,18}$",
        description="`next` of the list before: go on there, whatever was deleted meanwhile.",
    ),
]
RangeHeader = Annotated[str | None, Header(alias="Range", description="Bytes wanted.")]

_NPY = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


@router.post(
    "/estimates",
    response_model=Estimate,
    responses=refusals(408, 413, 415),
    openapi_extra=body_of("JobRequest"),
)
async def estimate(request: Request, client: Asker) -> Response:
    """What a job would take; nothing is stored, and arrays need not be here.

    A batch whose arrays are not here is estimated as one contraction.
    """
    value = await json_body_of(request)
    return json_of(await while_heard(request, service_of(request).estimate(client, value)))


@router.post(
    "/jobs",
    response_model=Job,
    status_code=201,
    responses={
        **refusals(408, 409, 413, 415, 429, 507),
        200: {"model": Job, "description": "The job of an earlier request with this key."},
    },
    openapi_extra=body_of("JobRequest"),
)
async def submit(request: Request, client: Asker, idempotency_key: Key = None) -> Response:
    """Take a job; it is on the disk when the answer comes."""
    value = await json_body_of(request)
    job, is_new = await service_of(request).submit(client, value, idempotency_key)
    return json_of(job, 201 if is_new else 200, {"Location": f"/v1/jobs/{job.id}"})


@router.get("/jobs", response_model=JobList, responses=refusals())
async def jobs(
    request: Request, client: Asker, limit: Limit = 50, before: Before = None
) -> Response:
    """Jobs of the client, newest first, in pages; the plans of their estimates are left out."""
    return json_of(service_of(request).jobs(client, limit=limit, before=before))


@router.get("/jobs/{job}", response_model=Job, responses=refusals(404))
async def one(request: Request, client: Asker, job: JobId) -> Response:
    """A job."""
    return json_of(service_of(request).job(client, job))


@router.post("/jobs/{job}/cancel", response_model=Job, responses=refusals(404, 507))
async def cancel(request: Request, client: Asker, job: JobId) -> Response:
    """Stop a job; one that is done stays as it is."""
    return json_of(await service_of(request).cancel(client, job))


@router.delete("/jobs/{job}", status_code=204, responses=refusals(404, 507))
async def delete(request: Request, client: Asker, job: JobId) -> Response:
    """Stop a job and forget it with its result."""
    await service_of(request).delete(client, job)
    return Response(status_code=204)


@router.get(
    "/jobs/{job}/result.npy",
    response_class=FileResponse,
    responses={
        **refusals(404, 416),
        200: {"content": {_NPY: {}}, "description": "A .npy file."},
        206: {"content": {_NPY: {}}, "description": "The bytes that were asked for."},
    },
)
async def result(
    request: Request, client: Asker, job: JobId, _range: RangeHeader = None
) -> Response:
    """The result of a finished job; ``Range`` goes on where a download stopped."""
    path, found = await service_of(request).result(client, job)
    size = found.result.bytes if found.result else 0
    _check_range(request, size)
    tag = f'"{found.result.sha256}"' if found.result else '""'
    return FileResponse(path, media_type=_NPY, headers={"ETag": tag})


@router.get(
    "/jobs/{job}/partial.npy",
    response_class=Response,
    responses={
        **refusals(404),
        200: {
            "content": {_NPY: {}},
            "description": "A .npy file.",
            "headers": {"Tensorloom-Log10-Scale": {"schema": {"type": "number"}}},
        },
    },
)
async def partial(request: Request, client: Asker, job: JobId) -> Response:
    """The sum of the slices that are done; it is not the value yet."""
    data, log10_scale = await service_of(request).partial(client, job)
    return Response(data, media_type=_NPY, headers={"Tensorloom-Log10-Scale": repr(log10_scale)})


def _check_range(request: PlainRequest, size: int) -> None:
    """Nothing, when the range can be served; one of another form is left out, as HTTP allows.

    Raises:
        WorkerRejected: ``range-refused``.
    """
    given = request.headers.get("range")
    if given is None:
        return
    form = _RANGE.fullmatch(given)
    if form is not None and int(form[1]) >= size:
        raise rejected(
            "range-refused",
            f"The file has {size} bytes; byte {form[1]} is beyond.",
            "The download is complete.",
            {"bytes": size},
        )
    if form is None or (form[2] and int(form[2]) < int(form[1])):
        headers = request.scope["headers"]
        request.scope["headers"] = [item for item in headers if item[0] != b"range"]
