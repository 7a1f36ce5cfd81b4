"""mIoU, accuracies and frequency-weighted IoU of label maps, in the conventions of three code bases.

Only a confusion matrix is kept, so memory does not grow with the number of images. Matrices of several
workers can be merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import ScoreError
from ..schemes import IGNORE
from .instance_maps import LabelMap

Convention = Literal["schp_ce2p", "mce2p", "ssseg"]


class ConfusionMatrix:
    """Counts how often each true label was predicted as each label.

    Args:
        num_classes: C, the background included.
        ignore: true label of pixels that are not counted. As in the originals, pixels with true labels
            outside 0 to C-1 are not counted either.

    Attributes:
        counts: int64 (C, C) pixels; rows are true labels, columns predicted ones.

    Examples:
        >>> import numpy as np
        >>> from humanparse.metrics import ConfusionMatrix
        >>> matrix = ConfusionMatrix(2)
        >>> matrix.add(np.array([[0, 1]]), np.array([[0, 1]]))
        >>> matrix.scores()["mean_iou"]
        1.0
    """

    def __init__(self, num_classes: int, ignore: int = IGNORE) -> None:
        if num_classes < 1:
            raise ScoreError(f"num_classes must be 1 or more, not {num_classes}")
        self.num_classes = num_classes
        self.ignore = ignore
        self.counts: npt.NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def add(self, predicted: LabelMap, truth: LabelMap) -> None:
        """Count one image.

        Args:
            predicted: integers (H, W), 0 to C-1 wherever the truth counts.
            truth: integers (H, W).

        Raises:
            ScoreError: the sizes differ, or a predicted label that counts is not a class.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ScoreError(
                f"prediction of shape {predicted.shape}, ground truth of shape {truth.shape}; "
                "score at the size of the ground truth"
            )
        counted = (truth != self.ignore) & (truth >= 0) & (truth < self.num_classes)
        rows, columns = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
        if columns.size and (columns.min() < 0 or columns.max() >= self.num_classes):
            outside = sorted({*columns.tolist()} - {*range(self.num_classes)})
            raise ScoreError(
                f"predictions have labels {', '.join(map(str, outside))}, but classes are 0 to "
                f"{self.num_classes - 1}; map them to the ground truth's labels first"
            )
        size = self.num_classes
        self.counts += np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another worker.

        Raises:
            ScoreError: it has another number of classes, or ignores another label.
        """
        if (self.num_classes, self.ignore) != (other.num_classes, other.ignore):
            raise ScoreError("only matrices with equal num_classes and ignore can be merged")
        self.counts += other.counts

    def scores(self, convention: Convention = "schp_ce2p") -> dict[str, Any]:
        """The scores of all images counted so far; see `semantic_scores`."""
        if convention not in get_args(Convention):
            known = ", ".join(get_args(Convention))
            raise ScoreError(f"convention must be one of {known}, not {convention!r}")
        right, true = np.diag(self.counts), self.counts.sum(axis=1)
        union = true + self.counts.sum(axis=0) - right
        if convention == "schp_ce2p":  # divisors of at least 1: an absent class counts 0 in the means
            accuracy, iou = right / np.maximum(true, 1), right / np.maximum(union, 1)
        else:
            accuracy, iou = ratio(right, true), ratio(right, union)
        present = true > 0
        total = int(true.sum())
        return {
            "pixel_accuracy": int(right.sum()) / total if total else float("nan"),
            "mean_accuracy": known_mean(accuracy),
            "iou": iou.tolist(),
            "mean_iou": known_mean(iou),
            "frequency_weighted_iou": float((true[present] * iou[present]).sum() / max(total, 1)),
            "confusion_matrix": self.counts.tolist(),
        }


def semantic_scores(
    pairs: Iterable[tuple[LabelMap, LabelMap]],
    num_classes: int,
    convention: Convention = "schp_ce2p",
    ignore: int = IGNORE,
) -> dict[str, Any]:
    """Compare label maps, one image after the other, in constant memory.

    Args:
        pairs: (prediction, ground truth) of each image, integers (H, W).
        num_classes: C, the background included.
        convention: how absent classes are treated. `"schp_ce2p"` (the scripts of SCHP and CE2P): they count 0
            in the means. `"mce2p"` (M-CE2P) and `"ssseg"` (SSSegmentation): they are NaN and left out.
        ignore: true label of pixels that are not counted.

    Returns:
        Fractions 0-1: `pixel_accuracy`, `mean_accuracy`, `mean_iou`, `frequency_weighted_iou`, `iou` (a list
        of C); and `confusion_matrix` (C lists of C pixel counts, rows are true labels). NaN if nothing was
        counted.

    Raises:
        ScoreError: the convention is unknown, sizes differ, or a predicted label is not a class.

    Examples:
        >>> import numpy as np
        >>> from humanparse.metrics import semantic_scores
        >>> semantic_scores([(np.array([[0, 1]]), np.array([[0, 0]]))], num_classes=2)["pixel_accuracy"]
        0.5
    """
    matrix = ConfusionMatrix(num_classes, ignore)
    for predicted, truth in pairs:
        matrix.add(predicted, truth)
    return matrix.scores(convention)


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """`part / whole`, NaN where `whole` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def known_mean(values: npt.NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
