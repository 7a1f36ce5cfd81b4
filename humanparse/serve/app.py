"""The application: routes, parameters, errors and headers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import torch
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from .._version import __version__
from ..cleaning import Cleaning
from ..errors import ModelError
from ..parser import Parser
from . import answers, docs, interface, metrics, schema
from .refusals import Refusal
from .service import ParseRequest, Service
from .settings import ServeSettings
from .wrappers import draining, with_head, with_headers

PAGE = Path(__file__).parent / "page"


def build(settings: ServeSettings, parsers: Mapping[str, Parser]) -> FastAPI:
    """See `humanparse.serve.create_app`. Models are loaded in a thread when the application starts."""
    service = Service(settings, parsers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.get_running_loop().run_in_executor(None, service.models.load)
        if settings.load_first:
            await loading
        yield
        await asyncio.to_thread(service.close)
        await loading

    app = FastAPI(title="humanparse", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(with_headers)
    app.add_middleware(draining)
    app.add_middleware(with_head)
    _errors(app)
    _pages(app)
    _interface(app, service)
    return app


def from_environment() -> FastAPI:
    """The application of a worker process."""
    settings = ServeSettings.from_environment()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    logging.getLogger("humanparse.serve").setLevel(logging.INFO)
    return build(settings, {})


def _interface(app: FastAPI, service: Service) -> None:
    key = Depends(_check_key)

    @app.post("/v1/parse", dependencies=[key], responses=interface.ANSWERS, openapi_extra=interface.BODY)
    async def parse(
        request: Request,
        model: Annotated[str, Query(description="A served model; default: the first one.")] = "",
        scheme: Annotated[
            str, Query(description="Label scheme of the answer; default: the model's own.")
        ] = "",
        people: Annotated[
            Literal["none", "detect"], Query(description="Whether to tell people apart.")
        ] = "none",
        format: Annotated[
            str,
            Query(
                description="Format of the answer; overrides the Accept header.",
                json_schema_extra={"enum": list(answers.FORMATS)},
            ),
        ] = "",
        min_area: Annotated[
            str, Query(description="Remove islands smaller than this: pixels, or a share such as 0.1%.")
        ] = "0",
        fill: Annotated[
            str, Query(description="Fill holes in a part up to this size: pixels, or a share such as 0.1%.")
        ] = "0",
        smooth: Annotated[
            int, Query(description="Radius in pixels for smoothing borders; 0 leaves them.")
        ] = 0,
    ) -> Response:
        """Label every pixel of a photo."""
        words = {"min_area", "fill", "smooth"}
        stray = set(request.query_params) - {"model", "scheme", "people", "format"} - words
        if stray:
            raise Refusal("invalid_parameter", f"there is no parameter {', '.join(sorted(stray))}")
        kind = format or answers.chosen_format(request.headers.get("accept", ""))
        if kind not in answers.FORMATS:
            raise Refusal("invalid_parameter", f"format takes {', '.join(answers.FORMATS)}, not {kind!r}")
        try:
            cleaning = Cleaning(min_area, fill, smooth)
        except ModelError as error:
            raise Refusal("invalid_parameter", str(error)) from None
        wanted = ParseRequest(
            model or service.models.default, scheme.lower(), people == "detect", kind, cleaning
        )
        return await service.parse(request, wanted)

    @app.get("/v1/models", dependencies=[key])
    async def models() -> schema.Models:
        """The served models, and the label schemes that each can answer in."""
        return service.models.describe()

    @app.get("/metrics", dependencies=[key])
    async def counters() -> Response:
        """Counters for Prometheus."""
        return Response(await asyncio.to_thread(service.metrics.text), media_type=metrics.MEDIA_TYPE)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Whether all models are loaded; 503 until they are."""
        service.models.ready()
        return {"status": "ready"}


def _pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def described(request: Request) -> Response:
        return HTMLResponse(docs.page(app.openapi(), str(request.base_url).rstrip("/")))

    mimetypes.add_type("text/javascript", ".js")  # on Windows other programs may have changed it
    app.mount("/page", StaticFiles(directory=PAGE, check_dir=False), name="page")


async def _check_key(request: Request) -> None:
    wanted = request.app.state.service.settings.api_key
    if wanted is None:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    # Hashes are compared, because comparing texts of unequal length reveals their length.
    hashes = (hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in (wanted, given))
    if not hmac.compare_digest(*hashes):
        raise Refusal("unauthorized", "send the API key: Authorization: Bearer KEY, or X-API-Key: KEY")


def _errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return Response(error.body, error.status, headers=error.headers, media_type="application/json")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = first["loc"][-1] if first.get("loc") else "the request"
        return await refused(request, Refusal("invalid_parameter", f"{name}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        if code is None:
            return JSONResponse({"error": {"code": "http", "message": str(error.detail)}}, error.status_code)
        message = f"{request.method} {request.url.path}: {error.detail}; see /docs"
        return await refused(request, Refusal(code, message))

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        message = "this is a bug; the service's log has the traceback"
        return await refused(request, Refusal("internal_error", message))
