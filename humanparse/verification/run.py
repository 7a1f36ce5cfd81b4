"""Verifies one model."""

from __future__ import annotations

import hashlib
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .. import hub, image, registry
from ..arrays import Picture
from ..bench import peak_memory_mb
from ..errors import HumanParseError, UnreachableError, WeightsError
from ..geometry import Frame
from ..hub import Downloadable
from ..parser import Parser
from ..registry import ModelSpec, Spec
from ..results import Parsing
from . import agreement, answers, plausibility
from .answers import KnownAnswer
from .picture import side_by_side
from .verdict import Status, Verdict


class Run:
    """The verification of a model, and its results so far; `rows` are pictures of the comparisons."""

    def __init__(self, spec: Spec, device: str, offline: bool | None, progress: bool | None) -> None:
        self.spec = spec
        self.rows: list[Image.Image] = []
        self._device = device
        self._fetching = (offline, progress)
        self._networks = list(spec.networks().values())
        asks = spec.finds_people and not spec.detects_people
        self._detectors = [registry.detector(registry.detector_names()[0])] if asks else []
        self._known = answers.known().get(spec.name)
        self._found = Verdict(spec.name, "failed")
        self._faults: list[str] = []
        self._missing: list[str] = []

    def verdict(self) -> Verdict:
        """Fetch the files, load the model, compare the known answer, and check plausibility."""
        by_hand = [one.file.filename for one in self._networks if not _fetchable(one)]
        if by_hand:
            return self._ended("skipped", f"no program can download {', '.join(by_hand)}")
        files = self._fetched()  # before the weights, so that the list of missing files is complete
        try:
            parser = self._loaded()
            agrees = files is not None and self._compare(parser, files)
            self._look(parser)
        except UnreachableError as error:
            return self._ended("unreachable", *([] if hub.offline(self._fetching[0]) else [str(error)]))
        except HumanParseError as error:
            return self._ended("failed", str(error))
        self._found = replace(self._found, peak_memory_mb=peak_memory_mb(parser.device))
        if self._faults:
            return self._ended("failed")
        return self._ended("verified" if agrees else "plausible")

    def _ended(self, status: Status, *reasons: str) -> Verdict:
        everything = (*reasons, *self._faults)
        return replace(self._found, status=status, reasons=everything, missing=tuple(self._missing))

    def _fetched(self) -> list[Path] | None:
        """The known answer's files; None if there are none, or if some cannot be downloaded."""
        if self._known is None:
            return None
        offline, progress = self._fetching
        paths = []
        for file in self._known.files:
            try:
                paths.append(hub.fetch(file, offline=offline, progress=progress, otherwise=""))
            except UnreachableError:
                self._missing.append(_address(file))
            except WeightsError as error:
                self._faults.append(f"the known answer is not the file on record: {error}")
        return paths if len(paths) == len(self._known.files) else None

    def _loaded(self) -> Parser:
        offline, progress = self._fetching
        lacking: UnreachableError | None = None
        needed: list[Downloadable] = [*self._networks, *self._detectors]
        for file in needed:  # try all, so that the list of missing files is complete
            try:
                hub.fetch(file, offline=offline, progress=progress)
            except UnreachableError as error:
                self._missing.append(_address(file))
                lacking = lacking or error
        if lacking is not None:
            raise lacking
        _forget_peak_memory()
        start = time.perf_counter()
        parser = Parser(
            self.spec.name,
            device=self._device,
            precision="float32",
            runtime="torch",
            offline=offline,
            progress=progress,
        )
        self._found = replace(
            self._found,
            load_seconds=time.perf_counter() - start,
            weights={role: hub.sha256(path) for role, path in parser.weights.items()},
            device=str(parser.device),
        )
        return parser

    def _compare(self, parser: Parser, files: list[Path]) -> bool:
        """Compare labels with the known answer; returns whether it is binding and nothing failed so far."""
        known = self._known
        assert known is not None
        photo = image.load(files[0])
        theirs = answers.read_labels(files[1], known, parser.scheme)
        if photo.shape[:2] != known.shape:
            self._faults.append(f"{files[0].name} is {photo.shape[:2]} (height, width), not {known.shape}")
            return False
        people = None if known.people is None else answers.read_people(files[2], known.shape)
        parsing = self._predicted(parser, photo, people)
        found = agreement.compare(parsing.labels, theirs, parser.scheme)
        if people is not None:
            parts = None if known.parts is None else answers.read_numbers(files[3], known.shape)
            counted = agreement.compare_people(parsing.people, people, theirs, parts)
            found = replace(found, people=counted)
        self._found = replace(
            self._found, agreement=found, binding=known.binding, input_equal=self._same_input(known, photo)
        )
        self.rows.append(side_by_side(photo, theirs, parsing.labels, parser.scheme))
        if known.binding:
            self._faults += agreement.faults(found, theirs, parser.scheme, known.least_equal, known.least_iou)
        return known.binding and not self._faults

    def _same_input(self, known: KnownAnswer, photo: Picture) -> bool | None:
        """Whether decoding and resampling give the original's bytes; None if those are not known."""
        if known.input_sha1 is None or not isinstance(self.spec, ModelSpec):
            return None
        pixels = Frame(known.shape, self.spec.input).resample(photo).contiguous().numpy()
        return hashlib.sha1(pixels.tobytes(), usedforsecurity=False).hexdigest() == known.input_sha1

    def _look(self, parser: Parser) -> None:
        """Check whether the labels of the package's photos are plausible."""
        for photo in plausibility.PHOTOS:
            pixels = image.load(photo.path)
            labels = self._predicted(parser, pixels).labels
            turned = self._predicted(parser, np.ascontiguousarray(pixels[:, ::-1])).labels
            mirrored = plausibility.mirrored_back(turned, parser.scheme)
            self._faults += plausibility.faults(photo, labels, mirrored, parser.scheme)
            if self._found.agreement is None:
                titles = ("labels", "labels of the mirrored photo")
                self.rows.append(side_by_side(pixels, labels, mirrored, parser.scheme, titles))

    def _predicted(self, parser: Parser, photo: Picture, people: Any = None) -> Parsing:
        start = time.perf_counter()
        parsing = parser.predict(photo, people=people)
        if self._found.predict_seconds is None:
            self._found = replace(self._found, predict_seconds=time.perf_counter() - start)
        return parsing


def _fetchable(network: Downloadable) -> bool:
    """Whether the weights are here, or a program can download them."""
    return hub.cached(network) or any(source.kind != "manual" for source in network.file.sources)


def _address(file: Downloadable) -> str:
    """Name, size and address of a file, for the list of missing files."""
    size = f" ({_in_words(file.file.size)})" if file.file.size else ""
    first = next(source.url for source in file.file.sources if source.kind != "manual")
    return f"{file.file.filename}{size} from {first}"


def _in_words(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _forget_peak_memory() -> None:
    """Reset the recorded peak of memory before a model is loaded, where the system allows it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it; then the peak counts since the process began
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
