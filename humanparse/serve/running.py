"""Runs the application in uvicorn: the address, the worker processes, the shutdown."""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import replace

import uvicorn

from .. import hub
from ..errors import ServeError
from ..pipelines.model import checked, placed
from ..runtimes.loading import given_files
from . import metrics
from .served import needed_detector
from .settings import VARIABLE, ServeSettings

_DRAIN = 5.0
"""Seconds beyond a request's timeout that a service gets to finish its requests when it shuts down."""

_SILENCE = 10
"""Seconds after which a worker that does not respond is replaced; loading torch may take some time."""


def run(settings: ServeSettings, host: str, port: int, workers: int) -> None:
    """See `humanparse.serve.run`."""
    if workers < 1:
        raise ServeError(f"workers must be at least 1, not {workers}")
    fetch(settings)
    _check_address(host, port)
    if workers > 1:
        threads = settings.threads or max(1, (os.cpu_count() or 1) // workers)
        settings = replace(settings, threads=threads, load_first=True)
    os.environ[VARIABLE] = settings.to_json()
    if workers == 1:  # without a folder: uvicorn ends by the signal, so nothing could remove it
        return _serve(settings, host, port, workers)
    with tempfile.TemporaryDirectory(prefix="humanparse-serve-", ignore_cleanup_errors=True) as folder:
        os.environ[metrics.FOLDER] = folder
        _serve(settings, host, port, workers)


def _serve(settings: ServeSettings, host: str, port: int, workers: int) -> None:
    uvicorn.run(
        "humanparse.serve.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http="humanparse.serve.protocol:PunctualProtocol",
        ws="none",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout + _DRAIN),
        timeout_worker_healthcheck=_SILENCE,
    )


def fetch(settings: ServeSettings) -> None:
    """Check the options of all models and download their files, so that a mistake fails at once.

    Raises:
        DeviceError: a model's device, precision or runtime is unknown or unavailable.
        ModelError: a model's protocol or rule is unknown.
        WeightsError: a file cannot be downloaded or verified.
    """
    for each in settings.served:
        spec = checked(each)
        placed(each, spec)
        networks = spec.networks()
        for role in set(networks) - set(given_files(each.model, each.weights, tuple(networks))):
            hub.fetch(networks[role], offline=each.offline)
        detector = needed_detector(each) if settings.people else None
        if detector is not None:
            hub.fetch(detector, offline=each.offline)


def _check_address(host: str, port: int) -> None:
    """Raise an error if the address is taken; uvicorn would only log it."""
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(kind[0]) as probe:
            if os.name != "nt":  # on Windows this would allow an address in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(kind[4])
    except OSError as error:
        raise ServeError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; "
            "choose others with `host` and `port`"
        ) from error
