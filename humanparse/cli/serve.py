"""`humanparse serve`: the HTTP service."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from ..errors import ServeError
from ..options import ParserOptions
from ..registry import DEFAULT
from .console import err
from .options import optional, with_parser_options


@with_parser_options(without=("model", "weights", "fast_decode"))
def serve(
    models: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="A model to serve; may be repeated, the first is the default."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 means all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes, each with its own models.")] = 1,
    max_pixels: Annotated[int, typer.Option(help="Largest height x width of a photo.")] = 50_000_000,
    max_mb: Annotated[float, typer.Option(help="Largest file of a photo, in megabytes.")] = 20,
    timeout: Annotated[float, typer.Option(help="Seconds from the end of an upload to its answer.")] = 60,
    upload_seconds: Annotated[float, typer.Option(help="Seconds that an upload may take.")] = 30,
    queue: Annotated[int, typer.Option(help="Most photos that wait, per process; more get a 429.")] = 256,
    batch: Annotated[
        int, typer.Option(help="Photos that go through the network together; 0: 1 on a CPU, else 8.")
    ] = 0,
    api_key: Annotated[
        str | None, optional(envvar="HUMANPARSE_API_KEY", help="Key that clients must send.")
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Also fetch photos from public URLs.")
    ] = False,
    people: Annotated[
        bool | None,
        optional(
            "--people/--no-people",
            help="Offer people=detect for models that need a detector (default: if its file is here).",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None, optional(help="MODEL=FILE, or MODEL:ROLE=FILE for one of several networks.")
    ] = None,
    *,
    options: ParserOptions,
) -> None:
    """Serve over HTTP: POST /v1/parse, a page for browsers at /, and a description at /docs."""
    from ..serve import ServeSettings, run

    names, files = models or [DEFAULT], read_weights(weights or [])
    if stray := sorted(set(files) - set(names)):
        raise ServeError(f"--weights is given for {', '.join(stray)}, which is not served; name it with -m")
    settings = ServeSettings(
        models=tuple(replace(options, model=name, weights=files.get(name)) for name in names),
        people=people,
        max_pixels=max_pixels,
        max_bytes=int(max_mb * 1_000_000),
        timeout=timeout,
        upload_seconds=upload_seconds,
        queue=queue,
        batch=batch,
        api_key=api_key,
        allow_urls=allow_urls,
    )
    if host not in ("127.0.0.1", "::1", "localhost") and not api_key:
        err.print(
            f"warning: everybody who reaches {host} may use this service; see --api-key", style="yellow"
        )
    run(settings, host, port, workers)


def read_weights(given: list[str]) -> dict[str, Any]:
    """`MODEL=FILE`, `MODEL:ROLE=FILE` -> model -> file, or role -> file."""
    found: dict[str, Any] = {}
    for text in given:
        where, equals, file = text.partition("=")
        model, colon, role = where.partition(":")
        if not (equals and file and model) or (colon and not role):
            raise ServeError(f"--weights takes MODEL=FILE or MODEL:ROLE=FILE, not {text!r}")
        known = found.get(model)
        if (known is not None and not colon) or (colon and isinstance(known, str)):
            raise ServeError(f"--weights says twice where {model}'s weights are")
        if colon:
            found.setdefault(model, {})[role] = file
        else:
            found[model] = file
    return found
