"""`ServeSettings`: all settings of the service, in one value that can be passed to a worker process."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import hub, registry
from ..errors import ServeError
from ..options import ParserOptions

VARIABLE = "HUMANPARSE_SERVE"
"""Environment variable with the settings of worker processes, as JSON."""

FRAMING = 65536  # bytes that a body may have besides its picture


@dataclass(frozen=True)
class ServeSettings:
    """Settings of the service; the defaults suit one machine and photos from phones.

    Attributes:
        models: the models to serve, the default first: names, or `ParserOptions`.
        people: whether models that need a detector offer `people=detect`. None: only if the detector's file
            is already on this machine. Models that find people by themselves always offer it.
        max_pixels: largest height x width of a photo.
        max_bytes: largest photo as a file, in bytes.
        timeout: seconds from the end of the upload to the answer.
        upload_seconds: seconds that an upload may take.
        queue: most photos that wait or are being parsed; further requests get a 429.
        batch: most photos that go through the network together. 0 means 8 on a GPU and 1 on a CPU, where
            more is no faster. With 1, a photo's labels equal those of `Parser.predict`; with more, the
            network rounds differently, and a pixel in a million may differ.
        threads: CPU threads of the network; 0 leaves it to torch. `create_app` ignores it.
        load_first: whether the service answers nothing until all models are loaded. With several processes
            this keeps a starting one from taking requests that the others could answer.
        wait: seconds that a photo waits for others to share its batch.
        buffer_bytes: most bytes of uploads and unsent answers held at a time; 0 means 8 photos of
            `max_bytes`.
        buffer_pixels: most decoded pixels held at a time; 0 means 4 photos of `max_pixels`.
        api_key: key that clients must send; None: no key is needed.
        allow_urls: whether clients may send the URL of a photo.
        allow_local: whether such a URL may lead to this machine or a private network. Use it only if all
            clients may see everything that this machine sees.

    Raises:
        ModelError: an unknown model.
        ServeError: a value out of range.
    """

    models: tuple[str | ParserOptions, ...] = (registry.DEFAULT,)
    people: bool | None = None
    max_pixels: int = 50_000_000
    max_bytes: int = 20_000_000
    timeout: float = 60.0
    upload_seconds: float = 30.0
    queue: int = 256
    batch: int = 0
    threads: int = 0
    load_first: bool = False
    wait: float = 0.004
    buffer_bytes: int = 0
    buffer_pixels: int = 0
    api_key: str | None = field(default=None, repr=False)
    allow_urls: bool = False
    allow_local: bool = False

    def __post_init__(self) -> None:
        if not self.models:
            raise ServeError("name at least one model to serve")
        for each in self.served:
            hub.find_model(each.model, offline=each.offline)
        names = [each.model for each in self.served]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ServeError(f"{', '.join(sorted(twice))} is named twice; name each model once")
        if any(each.fast_decode for each in self.served):
            raise ServeError("the service decodes photos whole; leave `fast_decode` out")
        for name in ("max_pixels", "max_bytes", "timeout", "upload_seconds", "queue"):
            if getattr(self, name) <= 0:
                raise ServeError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name, least in (
            *(("batch", 1), ("threads", 1), ("wait", 0)),
            *(("buffer_bytes", 4 * (self.max_bytes + FRAMING)), ("buffer_pixels", self.max_pixels)),
        ):
            value = getattr(self, name)
            if value < least and value != 0:
                raise ServeError(f"{name} must be at least {least}, not {value}")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.strip()):
            raise ServeError("the API key must be of printable ASCII characters, and not empty")

    @property
    def served(self) -> tuple[ParserOptions, ...]:
        """The models with their options, the default first."""
        return tuple(ParserOptions.of(model) for model in self.models)

    @property
    def most_bytes(self) -> int:
        """Most bytes of uploads and unsent answers held at a time."""
        return self.buffer_bytes or 8 * (self.max_bytes + FRAMING)

    @property
    def most_pixels(self) -> int:
        """Most decoded pixels held at a time."""
        return self.buffer_pixels or 4 * self.max_pixels

    def to_json(self) -> str:
        """The settings as JSON, for `from_environment` in another process."""
        return json.dumps({**asdict(self), "models": [vars(each) for each in self.served]}, default=os.fspath)

    @classmethod
    def from_environment(cls) -> ServeSettings:
        """The settings that a worker process was started with."""
        record = json.loads(os.environ[VARIABLE])
        models = tuple(ParserOptions(**_with_tuples(model)) for model in record["models"])
        return cls(**{**record, "models": models})


def _with_tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
