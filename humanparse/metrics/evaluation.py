"""Scores a folder of predictions against a data set."""

from __future__ import annotations

from typing import Any, cast

from ..errors import ScoreError
from .datasets import Dataset, Sample
from .instance import PartScores, PersonScores, predicted_people, true_people
from .predictions import Predictions
from .semantic import ConfusionMatrix, Convention


class Evaluation:
    """Computes mIoU; also AP^r, AP^p and PCP if data set and predictions have part instances and people.

    Args:
        data: the data set.
        convention: see `semantic_scores`; None means `"mce2p"` for data sets with several people in a photo,
            `"schp_ce2p"` for others.

    Raises:
        ScoreError: the convention is unknown.
    """

    def __init__(self, data: Dataset, convention: str | None = None) -> None:
        several = data.key in ("cihp", "mhpv2")
        self.convention = cast(Convention, convention or ("mce2p" if several else "schp_ce2p"))
        self._labels = data.scheme.names
        self._matrix = ConfusionMatrix(len(self._labels))
        self._parts: PartScores | None = None
        self._people: PersonScores | None = None
        self._matrix.scores(self.convention)  # raises an error for an unknown convention before work starts

    def add(self, sample: Sample, predictions: Predictions, position: int) -> None:
        """Count one photo.

        Args:
            sample: the photo.
            predictions: the folder with its label map, and its parts and people if any.
            position: the photo's position in the data set; it decides between equal scores.

        Raises:
            DatasetError: the ground truth cannot be read.
            FormatError: a prediction is missing or damaged.
            ScoreError: prediction and ground truth do not fit each other.
        """
        truth, labels = sample.truth(), predictions.labels(sample.stem)
        try:
            self._matrix.add(labels, truth["gt_category"])
            if predictions.has_parts and "gt_instance" in truth:
                self._parts = self._parts or PartScores(len(self._labels))
                self._parts.add({**truth, **predictions.parts(sample.stem)}, position)
            if predictions.has_people and "gt_human" in truth:
                self._people = self._people or PersonScores(len(self._labels))
                found = {"pred_category": labels, **predictions.people(sample.stem)}
                self._people.add(*predicted_people(found), true_people(truth), position)
        except ScoreError as error:
            raise ScoreError(f"{sample.stem}: {error}") from error

    def scores(self) -> dict[str, Any]:
        """The scores of all photos counted so far.

        Returns:
            `convention`, `labels`, `semantic` (see `semantic_scores`), and if they were counted, `region`
            and `person` (see `instance_scores`).
        """
        counted = {"region": self._parts, "person": self._people}
        return {
            "convention": self.convention,
            "labels": list(self._labels),
            "semantic": self._matrix.scores(self.convention),
            **{kind: part.scores() for kind, part in counted.items() if part is not None},
        }
