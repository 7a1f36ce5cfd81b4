"""Finds people with a detector, which is loaded when it is first needed."""

from __future__ import annotations

from functools import cached_property

import torch

from ..arrays import Picture
from ..detections import Detections, read_people
from ..errors import WeightsError
from ..models.detector import Detector
from ..ops.forks import settle_after_fork
from ..registry import DetectorSpec
from ..runtimes.loading import PathLike, file_of, load_detector


class PeopleDetector:
    """RGB uint8 picture (H, W, 3) -> its people; the first call loads the user's file, or downloads it."""

    def __init__(
        self,
        spec: DetectorSpec,
        file: PathLike | None,
        device: torch.device,
        offline: bool | None,
        progress: bool | None,
    ) -> None:
        self.name = spec.name
        self._spec, self._file, self._device = spec, file, device
        self._fetching = (offline, progress)

    def __call__(self, picture: Picture) -> Detections:
        """See the class."""
        settle_after_fork()
        pixels = torch.from_numpy(picture).to(self._device).permute(2, 0, 1).to(torch.float32) / 255
        boxes, scores, masks = self.network(pixels)
        return read_people({"boxes": boxes, "scores": scores, "masks": masks}, picture.shape[:2])

    @cached_property
    def network(self) -> Detector:
        """The detector's network."""
        try:
            path = file_of(self._spec, self._file, *self._fetching)
        except WeightsError as error:
            raise WeightsError(
                f'{error}\nThen pass weights={{"detector": PATH}}. Or pass the people yourself: '
                "predict(image, people=boxes), masks or detections."
            ) from error
        return load_detector(self._spec.name, path, self._file is None).to(self._device)
