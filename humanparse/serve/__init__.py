"""The HTTP service: photos in, parsings out; `humanparse serve` starts it, `create_app` embeds it.

`demo` is a gradio page instead, to show models to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..adapters.gradio import demo as demo
from ..errors import ServeError
from .settings import ServeSettings as ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ..parser import Parser

_NEEDED = ("fastapi", "starlette", "uvicorn", "python_multipart", "prometheus_client", "h11")


def create_app(settings: ServeSettings | None = None, parsers: Mapping[str, Parser] | None = None) -> FastAPI:
    """The service as an ASGI application, for a server of your own or inside another FastAPI application.

    Args:
        settings: the service's settings; None means `ServeSettings()`.
        parsers: models that are already loaded, by their names in `settings.models`. The other models are
            loaded when the application starts.

    Raises:
        ServeError: the packages of the extra `serve` are missing.
    """
    try:
        from .app import build
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return build(settings or ServeSettings(), parsers or {})


def run(settings: ServeSettings, host: str = "127.0.0.1", port: int = 8000, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests in progress.

    Args:
        settings: how it behaves.
        host: address to listen on; the default can be reached from this machine only.
        port: port to listen on; 0 picks a free one.
        workers: processes, each with its own models; with two or more, one that dies is replaced.

    Raises:
        ServeError: the address is taken, or the packages of the extra `serve` are missing.
        WeightsError: the weights of a model cannot be downloaded or verified.
    """
    try:
        from . import running
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    running.run(settings, host, port, workers)


def _missing(error: ModuleNotFoundError) -> Exception:
    if error.name is None or error.name.partition(".")[0] not in _NEEDED:
        return error
    return ServeError(f'the service needs {error.name}, which is missing: pip install "humanparse[serve]"')
