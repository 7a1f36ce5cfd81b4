"""AP^r of part instances, AP^p and PCP of people.

They are computed as in the evaluators of M-CE2P (Ruan et al., 2019; its AP^p comes from LV-MHP's) and SMP,
at the IoU thresholds 0.1 to 0.9, all strict. A few numbers are kept for each prediction, never its pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import ScoreError
from .instance_maps import LabelMap, split_people
from .semantic import known_mean, ratio

Kind = Literal["region", "person", "person_smp", "person_maps_smp"]
Floats = npt.NDArray[np.float64]

THRESHOLDS: Floats = np.arange(1, 10) / 10
_HALF = 4


class PartScores:
    """AP^r: how well part instances are found. It is streaming and mergeable.

    A predicted instance is right if its best IoU with a true instance of its class in the image is above the
    threshold. Two predictions may match the same true instance, so an AP can exceed 1. In the mean over
    classes, a class that is only predicted is left out, and a class that never occurs counts 0. This is what
    M-CE2P's evaluator does.

    Args:
        num_classes: C, the background included.

    Examples:
        >>> from humanparse.metrics import PartScores
        >>> scores = PartScores(num_classes=2)
        >>> scores.merge(PartScores(num_classes=2))  # images scored elsewhere
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._true = np.zeros(num_classes, np.int64)
        self._found = [np.empty((0, 5))]  # position, id, class, score, best IoU

    def add(self, image: Mapping[str, Any], position: int) -> None:
        """Count one image.

        Args:
            image: `gt_instance` and `pred_instance`, integers (H, W), 0 is none; `gt_instance_class`,
                `pred_instance_class` and `pred_instance_score`, with the entry of id k at k-1. An id
                without a pixel is dropped.
            position: the image's position in the data set; it decides between equal scores, so that the
                result does not depend on how images are shared among workers.

        Raises:
            ScoreError: an array is missing or does not fit.
        """
        predicted, predicted_class = _instances(image, "pred", self.num_classes)
        true, true_class = _instances(image, "gt", self.num_classes)
        score = np.asarray(_entry(image, "pred_instance_score"), np.float64)
        _same(predicted.shape, true.shape, "pred_instance and gt_instance")
        _same(score.shape, predicted_class.shape, "pred_instance_score and pred_instance_class")
        rows, columns = len(predicted_class) + 1, len(true_class) + 1
        codes = predicted.astype(np.int64).ravel() * columns + true.ravel()
        overlap = np.bincount(codes, minlength=rows * columns).reshape(rows, columns)
        predicted_area, true_area = overlap.sum(axis=1)[1:], overlap.sum(axis=0)[1:]
        overlap = overlap[1:, 1:]
        iou = ratio(overlap, predicted_area[:, None] + true_area - overlap)
        iou[predicted_class[:, None] != true_class] = 0
        here = np.flatnonzero(predicted_area)
        best = iou.max(axis=1, initial=0, where=~np.isnan(iou))[here]
        places = np.full(len(here), float(position))
        self._found.append(np.column_stack((places, here, predicted_class[here], score[here], best)))
        self._true += np.bincount(true_class[true_area > 0], minlength=self.num_classes)

    def merge(self, other: PartScores) -> None:
        """Add what another worker counted; positions stay as they were given."""
        _same(self.num_classes, other.num_classes, "the classes of the two")
        self._found += other._found
        self._true += other._true

    def scores(self) -> dict[str, Any]:
        """The scores of all images counted so far; see `instance_scores`."""
        found = np.concatenate(self._found)
        position, number, _, score, _ = found.T
        # The original sorts in ascending order, then reverses: the last of equal scores comes first.
        found = found[np.lexsort((number, position, score))[::-1]]
        per_class = np.empty((self.num_classes - 1, len(THRESHOLDS)))
        for label in range(1, self.num_classes):
            best = found[found[:, 2] == label, 4]
            per_class[label - 1] = average_precision(best[:, None] > THRESHOLDS, int(self._true[label]))
        ap = [known_mean(column) for column in per_class.T]
        return {
            "ap_per_class": {str(label): values.tolist() for label, values in enumerate(per_class, start=1)},
            "ap": ap,
            "ap_50": ap[_HALF],
            "ap_vol": float(np.mean(ap)),
        }


class PersonScores:
    """AP^p and PCP: how well people and their parts are found. It is streaming and mergeable.

    The IoU of two people is the mean over the classes that either has, the background included. Each
    predicted person, in descending order of score, is matched to the true person with the highest IoU. It is
    wrong if that person is already matched.

    Args:
        num_classes: C, the background included.

    Examples:
        >>> import numpy as np
        >>> from humanparse.metrics import PersonScores
        >>> scores = PersonScores(num_classes=2)
        >>> scores.add(np.array([[[1, 0]]]), [0.9], np.array([[[1, 0]]]), position=0)
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._true = 0
        # Position, number in the image, score, best true person, IoU with it, its number of parts; then the
        # number of right parts at each threshold.
        self._found = [np.empty((0, 6 + len(THRESHOLDS)))]

    def add(self, predicted: LabelMap, score: npt.ArrayLike, truth: LabelMap, position: int) -> None:
        """Count one image.

        Args:
            predicted: integers (P, H, W), the label map of each predicted person, 0 outside; may overlap.
            score: (P,), higher is more certain.
            truth: integers (G, H, W), the label map of each true person. Labels outside 0 to C-1 are not
                counted, and a map of zeros is no person.
            position: the image's position in the data set; it decides between equal scores.

        Raises:
            ScoreError: shapes do not fit, or a predicted label is not a class.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        scores = np.asarray(score, np.float64)
        _same(predicted.shape[1:], truth.shape[1:], "the label maps of predicted and true people")
        _same(scores.shape, predicted.shape[:1], "scores and predicted people")
        truth = truth[truth.any(axis=(1, 2))] if len(truth) else truth
        self._true += len(truth)
        if not len(predicted):
            return
        rows = np.zeros((len(predicted), 6 + len(THRESHOLDS)))
        rows[:, 0], rows[:, 1], rows[:, 2] = position, np.arange(len(predicted)), scores
        if len(truth):
            iou = person_iou(predicted, truth, self.num_classes)  # (P, G, C)
            known = ~np.isnan(iou)
            mean = ratio(np.where(known, iou, 0).sum(axis=2), known.sum(axis=2))
            best = np.nan_to_num(mean).argmax(axis=1)
            every = np.arange(len(predicted))
            parts = [np.count_nonzero(np.bincount(one.ravel())[1 : self.num_classes]) for one in truth]
            rows[:, 3], rows[:, 4] = best, np.nan_to_num(mean)[every, best]
            rows[:, 5] = np.array(parts)[best]
            rows[:, 6:] = (iou[every, best, 1:, None] > THRESHOLDS).sum(axis=1)
        self._found.append(rows)

    def merge(self, other: PersonScores) -> None:
        """Add what another worker counted; positions stay as they were given."""
        _same(self.num_classes, other.num_classes, "the classes of the two")
        self._found += other._found
        self._true += other._true

    def scores(self) -> dict[str, Any]:
        """The scores of all images counted so far; see `instance_scores`."""
        found = np.concatenate(self._found)
        found = found[np.lexsort((found[:, 1], found[:, 0], -found[:, 2]))]
        _, person = np.unique(found[:, [0, 3]], axis=0, return_inverse=True)
        right = np.zeros((len(found), len(THRESHOLDS)), bool)
        for number, threshold in enumerate(THRESHOLDS):
            fits = np.flatnonzero(found[:, 4] > threshold)
            _, first = np.unique(person.reshape(-1)[fits], return_index=True)
            right[fits[first], number] = True
        share = np.where(right, found[:, 6:] / np.maximum(found[:, 5:6], 1), 0)
        pcp = (share.sum(axis=0) / self._true).tolist() if self._true else [float("nan")] * len(THRESHOLDS)
        ap = average_precision(right, self._true).tolist()
        return {
            "ap": ap,
            "ap_50": ap[_HALF],
            "ap_vol": float(np.mean(ap)),
            "pcp": pcp,
            "pcp_50": pcp[_HALF],
            "mean_best_iou": known_mean(found[:, 4]),
        }


def instance_scores(
    images: Iterable[Mapping[str, Any]], num_classes: int, kind: Kind = "region"
) -> dict[str, Any]:
    """Score part instances or people, one image after the other.

    Args:
        images: one mapping per image, from names to arrays. Ground truth: `gt_category` and `gt_human`,
            integers (H, W), or `gt_person_map` (G, H, W) if people overlap; `gt_instance` and
            `gt_instance_class`. Predictions: the arrays of `kind`. For an image without predictions pass
            empty arrays; if you omit the image, its ground truth does not count, as in M-CE2P's AP^r for a
            missing file.
        num_classes: C, the background included.
        kind: `"region"`: AP^r from `pred_instance` (H, W), `pred_instance_class` and `pred_instance_score`
            (the entry of id k is at k-1). `"person"`: AP^p and PCP from `pred_category` and `pred_human`
            (H, W), `pred_human_id` and `pred_human_score`; a listed id without a pixel is dropped.
            `"person_smp"`: the same, with SMP's mean IoU. `"person_maps_smp"`: like SMP, from `person_map`
            (P, H, W), which may overlap, and `person_map_score`.

    Returns:
        Fractions 0-1. Lists over the nine thresholds 0.1 to 0.9: `ap`, `ap_50` (at 0.5 only), `ap_vol` (the
        mean of the nine); for `"region"` also `ap_per_class` (label number as text -> nine values); for
        people `pcp`, `pcp_50`; for the two kinds of SMP `mean_best_iou`. NaN if there is no ground truth. Of
        equal scores, the first comes first for people, the last for parts.

    Raises:
        ScoreError: the kind is unknown, or an array is missing or does not fit.

    Examples:
        >>> import numpy as np
        >>> from humanparse.metrics import instance_scores
        >>> truth = {"gt_category": np.array([[1, 0]]), "gt_human": np.array([[1, 0]])}
        >>> found = {"pred_category": np.array([[1, 0]]), "pred_human": np.array([[1, 0]])}
        >>> image = {**truth, **found, "pred_human_id": [1], "pred_human_score": [0.9]}
        >>> instance_scores([image], num_classes=2, kind="person")["ap_50"]
        1.0
    """
    if kind not in get_args(Kind):
        raise ScoreError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}")
    if kind == "region":
        parts = PartScores(num_classes)
        for position, image in enumerate(images):
            parts.add(image, position)
        return parts.scores()
    people = PersonScores(num_classes)
    for position, image in enumerate(images):
        people.add(*predicted_people(image, kind), true_people(image), position)
    scores = people.scores()
    if kind == "person":
        del scores["mean_best_iou"]
    return scores


def predicted_people(
    image: Mapping[str, Any], kind: Kind = "person"
) -> tuple[LabelMap, npt.NDArray[np.float64]]:
    """The label map of each predicted person, (P, H, W), and their scores, (P,); see `instance_scores`."""
    if kind == "person_maps_smp":
        maps, scores = np.asarray(_entry(image, "person_map")), _entry(image, "person_map_score")
        return maps, np.asarray(scores, np.float64)
    tags = np.asarray(_entry(image, "pred_human"))
    listed = np.asarray(_entry(image, "pred_human_id"), np.int64)
    score = np.asarray(_entry(image, "pred_human_score"), np.float64)
    _same(listed.shape, score.shape, "pred_human_id and pred_human_score")
    seen = np.isin(listed, tags)
    labels = np.asarray(_entry(image, "pred_category"))
    _same(labels.shape, tags.shape, "pred_category and pred_human")
    return split_people(labels, tags, listed[seen]), score[seen]


def true_people(image: Mapping[str, Any]) -> LabelMap:
    """The label map of each true person, (G, H, W); see `instance_scores`."""
    if "gt_person_map" in image:
        return np.asarray(image["gt_person_map"])
    labels, humans = np.asarray(_entry(image, "gt_category")), np.asarray(_entry(image, "gt_human"))
    _same(labels.shape, humans.shape, "gt_category and gt_human")
    return split_people(labels, humans)


def person_iou(predicted: LabelMap, truth: LabelMap, num_classes: int) -> Floats:
    """IoU of each class between each predicted and each true person over the whole image.

    Only the pixels of true people are compared pair by pair; the background follows from counts.

    Args:
        predicted: integers (P, H, W), 0 to C-1.
        truth: integers (G, H, W); pixels with labels outside 0 to C-1 are not counted for that person.
        num_classes: C.

    Returns:
        float64 (P, G, C), NaN where neither has the class.

    Raises:
        ScoreError: a predicted label is not a class.
    """
    people, size = len(truth), num_classes

    def histogram(where: npt.NDArray[np.bool_], labels: LabelMap) -> npt.NDArray[np.int64]:
        codes = owner[where] * size + labels[where]
        return np.bincount(codes, minlength=people * size).reshape(people, size)

    flat = truth.reshape(people, -1)
    owner, pixel = np.nonzero(flat)
    true = flat[owner, pixel].astype(np.int64)
    counted = (true > 0) & (true < size)
    true_count = histogram(counted, true)
    true_count[:, 0] = flat.shape[1] - np.count_nonzero(flat, axis=1)
    iou = np.empty((len(predicted), people, size))
    for number, one in enumerate(predicted.reshape(len(predicted), -1)):
        if one.size and (one.min() < 0 or one.max() >= size):
            raise ScoreError(f"a predicted person holds label {one.max()}, but classes are 0 to {size - 1}")
        whole = np.bincount(one, minlength=size)
        guess = one[pixel].astype(np.int64)
        count = whole - histogram(~counted, guess)
        right = histogram(counted & (guess == true), true)
        right[:, 0] = count[:, 0] - histogram(counted, guess)[:, 0]
        iou[number] = ratio(right, true_count + count - right)
    return iou


def average_precision(right: npt.NDArray[np.bool_], true: int) -> Floats:
    """Area under the precision envelope over all points, as PASCAL VOC from 2010 on.

    Args:
        right: bool (K, T), whether each prediction, best first, is right at each of T thresholds.
        true: number of true objects.

    Returns:
        float64 (T,). Without true objects NaN if there are predictions, else 0.
    """
    if not len(right):
        return np.zeros(right.shape[1])
    if not true:
        return np.full(right.shape[1], np.nan)
    hits = np.cumsum(right, axis=0)
    precision = hits / np.arange(1, len(right) + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    area: Floats = (right * envelope).sum(axis=0) / true
    return area


def _instances(image: Mapping[str, Any], side: str, num_classes: int) -> tuple[LabelMap, LabelMap]:
    ids = np.asarray(_entry(image, f"{side}_instance"))
    classes = np.asarray(_entry(image, f"{side}_instance_class"), np.int64)
    if ids.size and (ids.min() < 0 or ids.max() > len(classes)):
        raise ScoreError(f"{side}_instance holds id {ids.max()}, but {len(classes)} classes are listed")
    if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
        raise ScoreError(f"{side}_instance_class holds {classes.max()}, but there are {num_classes} classes")
    return ids, classes


def _entry(image: Mapping[str, Any], name: str) -> Any:
    if name not in image:
        raise ScoreError(f"an image lacks {name!r}; it has {', '.join(map(str, image)) or 'nothing'}")
    return image[name]


def _same(one: object, other: object, what: str) -> None:
    if one != other:
        raise ScoreError(f"{what} do not fit: {one} and {other}")
