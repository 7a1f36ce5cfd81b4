"""`Settings`: all that decides how the service behaves, as one value that a worker process can be given."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .. import hub, registry, runtimes
from ..errors import ServeError

VARIABLE = "HUMANPARSE_SERVE"
"""Environment variable in which worker processes find their settings, as JSON."""

_FRAMING = 65536  # what a body may hold beside its picture


@dataclass(frozen=True)
class Settings:
    """How a service behaves; the defaults suit one machine and photos from phones.

    Attributes:
        models: names of the models to serve, the default first.
        weights: model -> a checkpoint file of your own, or what each network does -> its file.
        people: whether `people=detect` is offered by models that need a detector for it; None: where the
            detector's file is here already. Models that find people by themselves always offer it.
        detector, device, precision, runtime: as for `Parser`.
        max_pixels: largest height x width of a photo.
        max_bytes: largest photo as a file, in bytes.
        timeout: seconds from the upload's end to the answer.
        upload_seconds: seconds an upload may take.
        queue: most photos that wait or are worked on; the next is told to come back (429).
        batch: most photos that go through the network together; 0 is 8 on a GPU and 1 on a CPU, where more
            is no faster. A photo's labels are those of `Parser.predict` with 1; with more the network rounds
            otherwise, so a pixel in a million may differ.
        threads: with how many the network computes on a CPU; 0 leaves it to torch. Not for `create_app`.
        load_first: whether nothing is answered before all models are loaded; among several processes, one
            that begins must not take what the others could do.
        wait: seconds a photo waits for others to share its batch.
        buffer_bytes: most bytes of uploads and unsent answers held at a time; 0 is 8 photos of `max_bytes`.
        buffer_pixels: most decoded pixels held at a time; 0 is 4 photos of `max_pixels`.
        api_key: what callers must show; None lets everybody in.
        allow_urls: whether photos may be given by address.
        allow_local: whether such an address may be this machine's or a private one: only where all callers
            may see all that this machine sees.

    Raises:
        ModelError: an unknown model.
        ServeError: a value out of range.
    """

    models: tuple[str, ...] = (registry.DEFAULT,)
    weights: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    people: bool | None = None
    detector: str | None = None
    device: str = "auto"
    precision: str = "auto"
    runtime: str = runtimes.DEFAULT
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
        for name in (*self.models, *self.weights):
            hub.find_model(name)
        if twice := {name for name in self.models if self.models.count(name) > 1}:
            raise ServeError(f"{', '.join(sorted(twice))} is named twice; name each model once")
        if stray := set(self.weights) - set(self.models):
            raise ServeError(f"weights are given for {', '.join(sorted(stray))}, which is not served")
        for name in ("max_pixels", "max_bytes", "timeout", "upload_seconds", "queue"):
            if getattr(self, name) <= 0:
                raise ServeError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name, least in (
            *(("batch", 1), ("threads", 1), ("wait", 0)),
            *(("buffer_bytes", 4 * (self.max_bytes + _FRAMING)), ("buffer_pixels", self.max_pixels)),
        ):
            value = getattr(self, name)
            if value < least and value != 0:
                raise ServeError(f"{name} must be at least {least}, not {value}")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.strip()):
            raise ServeError("the API key must be of printable ASCII characters, and not empty")

    @property
    def most_bytes(self) -> int:
        """The bytes of uploads that are held at a time."""
        return self.buffer_bytes or 8 * (self.max_bytes + _FRAMING)

    @property
    def most_pixels(self) -> int:
        """The decoded pixels that are held at a time."""
        return self.buffer_pixels or 4 * self.max_pixels

    def to_json(self) -> str:
        """For `from_environment`, in another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Settings:
        """What a worker process was given."""
        record = json.loads(os.environ[VARIABLE])
        return cls(**{**record, "models": tuple(record["models"])})
