"""The models of a service: each is loaded once and has its own batcher."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

from .. import hub, registry
from ..options import ParserOptions
from ..parser import Parser
from . import schema
from .answers import reachable
from .batcher import Batcher
from .refusals import Refusal
from .settings import ServeSettings

log = logging.getLogger("humanparse.serve")

_ON_GPU = 8
"""Default batch size by device; 1 on a CPU, where larger batches are no faster."""

Observe = Callable[[str, int, float], None]
"""Called after each batch with its model, number of photos and seconds."""


class Models:
    """All models of a service, by name, the default first."""

    def __init__(self, settings: ServeSettings, parsers: Mapping[str, Parser], observe: Observe) -> None:
        self._settings = settings
        self._observe = observe
        self._options = {each.model: each for each in settings.served}
        self._specs = {
            name: hub.find_model(name, offline=each.offline) for name, each in self._options.items()
        }
        self._given = dict(parsers)
        self._loaded: dict[str, Batcher] = {}
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.schemes = {name: reachable(spec.scheme) for name, spec in self._specs.items()}
        self.people = {name: self._can_tell_people(name) for name in self._options}

    @property
    def default(self) -> str:
        """Name of the model for requests that name none."""
        return next(iter(self._options))

    def load(self) -> None:
        """Load the remaining models. Failures are logged, and requests for such a model are refused."""
        for name in self._specs:
            try:
                parser = self._given.get(name) or Parser.of(self._options[name], progress=False)
            except Exception:
                log.exception("%s cannot be loaded", name)
                self._failed.add(name)
                continue
            with self._lock:
                if self._closed:
                    return
                self._loaded[name] = self._batcher(name, parser)
            log.info("%r is ready", parser)

    def get(self, name: str) -> Batcher:
        """The batcher of a loaded model.

        Raises:
            Refusal: the model is not served, or not ready.
        """
        if name not in self._specs:
            raise Refusal(
                "unknown_model", f"this service has no model {name!r}, only {', '.join(self._specs)}"
            )
        if self._closed:
            raise Refusal("not_ready", "the service is shutting down; try again", 1)
        if name in self._failed:
            raise Refusal("not_ready", f"{name} could not be loaded; the service's log says why")
        if name not in self._loaded:
            raise Refusal("not_ready", f"{name} is being loaded; try again", 2)
        return self._loaded[name]

    def ready(self) -> None:
        """Raise the `Refusal` of `get` if any model is not ready."""
        for name in self._specs:
            self.get(name)

    def describe(self) -> schema.Models:
        """The models as `GET /v1/models` lists them."""
        models = [
            schema.Model(
                name=name,
                scheme=spec.scheme.key,
                classes=len(spec.scheme),
                people=self.people[name],
                licence=spec.licence.weights,
                loaded=name in self._loaded,
                schemes=self.schemes[name],
            )
            for name, spec in self._specs.items()
        ]
        return schema.Models(default=self.default, models=models, schemes=self.schemes[self.default])

    def close(self) -> None:
        """Accept no more photos, and finish the queued ones."""
        with self._lock:
            self._closed = True
        for batcher in self._loaded.values():
            batcher.close()

    def _batcher(self, name: str, parser: Parser) -> Batcher:
        together = self._settings.batch or (1 if parser.device.type == "cpu" else _ON_GPU)
        return Batcher(parser, together, self._settings.wait, partial(self._observe, name))

    def _can_tell_people(self, name: str) -> bool:
        detector = needed_detector(self._options[name])
        if detector is None:
            return True
        if self._settings.people is not None:
            return self._settings.people
        return hub.cached(detector)


def needed_detector(options: ParserOptions) -> registry.DetectorSpec | None:
    """The detector that must be fetched for a model to find people; None if it needs none."""
    if isinstance(options.weights, Mapping) and "detector" in options.weights:
        return None
    spec = hub.find_model(options.model, offline=options.offline)
    return registry.detector_for(spec, options.detector, own_file=False)
