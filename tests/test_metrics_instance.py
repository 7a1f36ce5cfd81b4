"""Parts and people: the originals' numbers, plain loops beside the fast arithmetic, invariants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from golden import recording, roots
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics_semantic import agree

from humanparse import ScoreError
from humanparse.metrics import PartScores, PersonScores, instance_scores, semantic_scores
from humanparse.metrics.instance import Kind, person_iou, predicted_people, true_people
from humanparse.metrics.instance_maps import merge_people, part_instances, split_people

Image = dict[str, npt.NDArray[Any]]

ROOTS = [root for root in roots() if (root / "metrics").is_dir()]
KINDS: list[Kind] = ["region", "person", "person_smp", "person_maps_smp"]
THRESHOLDS = [step / 10 for step in range(1, 10)]


def expected(root: Path) -> dict[str, Any]:
    return json.loads((root / "metrics" / "expected.json").read_text())["instance"]


def recorded_images(root: Path) -> list[Image]:
    arrays = recording(root, "metrics/instance")
    names = sorted({key.partition("/")[0] for key in arrays}, key=int)
    return [
        {key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        for name in names
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_the_originals_scores_come_out(root: Path, kind: Kind) -> None:
    record = {key: value for key, value in expected(root)[kind].items() if key != "tie_range"}
    scores = instance_scores(recorded_images(root), 20, kind)
    assert agree(scores, record)
    assert scores.keys() == record.keys()


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_leaving_out_images_without_predictions_scores_as_the_original_does_when_files_are_missing(
    root: Path,
) -> None:
    predicted = [image for image in recorded_images(root) if image["pred_instance_class"].size]
    assert len(predicted) == 4
    assert agree(instance_scores(predicted, 20), expected(root)["region_without_unpredicted_images"])


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_the_label_maps_of_the_same_images_score_as_in_the_original(root: Path) -> None:
    pairs = [(image["pred_category"], image["gt_category"]) for image in recorded_images(root)]
    assert agree(semantic_scores(pairs, 20, "mce2p"), expected(root)["semantic"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_no_order_of_equal_scores_is_outside_what_many_orders_give(root: Path, kind: Kind) -> None:
    """The recorded range comes from 60 orders; 600 of ours must reach as far at both ends."""
    noise = np.random.default_rng(0)
    names = {"region": "pred_instance_score", "person_maps_smp": "person_map_score"}
    name = names.get(kind, "pred_human_score")
    images = recorded_images(root)
    orders = [
        instance_scores(
            [{**image, name: image[name] + 1e-6 * noise.random(image[name].shape)} for image in images],
            20,
            kind,
        )
        for _ in range(600)
    ]
    for key, (low, high) in expected(root)[kind]["tie_range"].items():
        ours = [scores[key] for scores in orders]
        assert min(ours) <= low + 1e-9 and high - 1e-9 <= max(ours), (key, low, high, min(ours), max(ours))


@st.composite
def images(draw: st.DrawFn) -> list[Image]:
    """A few small pictures with few distinct scores, so that ties are common."""
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [picture(numbers) for _ in range(draw(st.integers(1, 5)))]


def picture(numbers: np.random.Generator) -> Image:
    shape = (int(numbers.integers(3, 7)), int(numbers.integers(3, 7)))
    labels = numbers.integers(0, 4, shape).astype(np.uint8)
    humans = np.where(labels > 0, numbers.integers(0, 3, shape), 0).astype(np.uint8)
    changed = numbers.random(shape) < numbers.choice([0.1, 0.4])
    guess = np.where(changed, numbers.integers(0, 4, shape), labels).astype(np.uint8)
    whose = np.where(changed, numbers.integers(0, 4, shape), humans).astype(np.uint8)
    labels[numbers.random(shape) < 0.1] = 255
    true_parts, true_class, owner = part_instances(labels, humans)
    parts, classes, _ = part_instances(guess, whose)
    ids = numbers.permutation(np.arange(1, 5))
    people = split_people(guess, whose)
    return {
        "gt_category": labels,
        "gt_human": humans,
        "gt_instance": true_parts,
        "gt_instance_class": true_class,
        "gt_instance_human": owner,
        "pred_category": guess,
        "pred_human": whose,
        "pred_human_id": ids,
        "pred_human_score": numbers.choice([0.5, 1.0], 4),
        "pred_instance": parts,
        "pred_instance_class": classes,
        "pred_instance_score": numbers.choice([0.5, 1.0], len(classes)),
        "person_map": people,
        "person_map_score": numbers.choice([0.5, 1.0], len(people)),
    }


def voc_area(right: list[bool], true: int) -> float:
    """PASCAL VOC's area under the envelope, point by point."""
    recall, precision, hits = [0.0], [0.0], 0
    for place, hit in enumerate(right, start=1):
        hits += hit
        recall.append(hits / true)
        precision.append(hits / place)
    recall.append(1.0)
    precision.append(0.0)
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def slow_people(images: list[Image], kind: Kind) -> dict[str, Any]:
    """AP^p and PCP in plain loops, from the definition."""
    guesses, true = [], 0
    truths = [[person for person in true_people(image) if person.any()] for image in images]
    for number, image in enumerate(images):
        true += len(truths[number])
        guesses += [(-score, number, rank, person) for rank, (person, score) in
                    enumerate(zip(*predicted_people(image, kind), strict=True))]  # fmt: skip
    guesses.sort(key=lambda guess: guess[:3])
    right: list[list[bool]] = [[] for _ in THRESHOLDS]
    pcp, used, best_ious = [0.0] * 9, set(), []
    for _, number, _, person in guesses:
        best, found, parts = 0.0, -1, []
        for which, other in enumerate(truths[number]):
            ious = slow_iou(person, other)
            known = [iou for iou in ious if iou is not None]
            if sum(known) / len(known) > best:
                best, found, parts = sum(known) / len(known), which, ious[1:]
        best_ious.append(best)
        for step, threshold in enumerate(THRESHOLDS):
            hit = best > threshold and (number, found, step) not in used
            right[step].append(hit)
            if hit:
                used.add((number, found, step))
                own = len({*np.unique(truths[number][found]).tolist()} - {0, 255})
                pcp[step] += sum(iou is not None and iou > threshold for iou in parts) / max(own, 1) / true
    return {
        "ap": [voc_area(hits, true) for hits in right],
        "pcp": pcp,
        "mean_best_iou": sum(best_ious) / len(best_ious),
    }


def slow_iou(person: npt.NDArray[Any], other: npt.NDArray[Any]) -> list[float | None]:
    ious: list[float | None] = []
    for label in range(4):
        one, two = (person == label) & (other != 255), other == label
        either = (one | two).sum()
        ious.append(float((one & two).sum() / either) if either else None)
    return ious


@settings(deadline=None)
@given(images=images())
def test_people_score_as_plain_loops_over_the_definition_say(images: list[Image]) -> None:
    if not any(person.any() for image in images for person in true_people(image)):
        return
    kinds: list[Kind] = ["person_smp", "person_maps_smp"]
    for kind in kinds:
        if any(len(predicted_people(image, kind)[0]) for image in images):
            assert agree(instance_scores(images, 4, kind), slow_people(images, kind))


@settings(deadline=None)
@given(images=images())
def test_parts_score_as_plain_loops_over_the_definition_say(images: list[Image]) -> None:
    scores = instance_scores(images, 4)
    for label in range(1, 4):
        guesses, true = [], 0
        for number, image in enumerate(images):
            same = [
                image["gt_instance"] == k + 1 for k in np.flatnonzero(image["gt_instance_class"] == label)
            ]
            true += len(same)
            for k in np.flatnonzero(image["pred_instance_class"] == label):
                mask = image["pred_instance"] == k + 1
                ious = [(mask & other).sum() / (mask | other).sum() for other in same]
                guesses.append((image["pred_instance_score"][k], number, k, max(ious, default=0.0)))
        guesses.sort(key=lambda guess: guess[:3], reverse=True)
        for step, threshold in enumerate(THRESHOLDS):
            hits = [iou > threshold for *_, iou in guesses]
            area = voc_area(hits, true) if true else (None if hits else 0.0)
            assert agree(scores["ap_per_class"][str(label)][step], area)


@settings(deadline=None)
@given(images=images(), workers=st.lists(st.integers(0, 2), min_size=5, max_size=5), data=st.data())
def test_workers_that_share_the_images_merge_to_one_pass_in_any_order_even_with_equal_scores(
    images: list[Image], workers: list[int], data: st.DataObject
) -> None:
    parts, people = [PartScores(4) for _ in range(3)], [PersonScores(4) for _ in range(3)]
    for position in data.draw(st.permutations(range(len(images)))):
        image = images[position]
        parts[workers[position]].add(image, position)
        people[workers[position]].add(*predicted_people(image), true_people(image), position)
    for other in (1, 2):
        parts[0].merge(parts[other])
        people[0].merge(people[other])
    assert repr(parts[0].scores()) == repr(instance_scores(images, 4))
    assert agree(people[0].scores(), nulls(instance_scores(images, 4, "person_smp")))


def nulls(scores: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(scores).replace("NaN", "null"))


@settings(deadline=None)
@given(images=images())
def test_perfect_predictions_score_one(images: list[Image]) -> None:
    perfect: list[Image] = []
    for image in images:
        labels = np.where(image["gt_category"] == 255, 0, image["gt_category"])
        humans = np.where(labels == 0, 0, image["gt_human"])
        parts, classes, _ = part_instances(labels, humans)
        perfect.append({"gt_category": labels, "gt_human": humans, "gt_instance": parts})
        perfect[-1] |= {"gt_instance_class": classes, "pred_category": labels, "pred_human": humans}
        perfect[-1] |= {"pred_human_id": np.arange(1, 5), "pred_human_score": image["pred_human_score"]}
        perfect[-1] |= {"pred_instance": parts, "pred_instance_class": classes}
        perfect[-1] |= {"pred_instance_score": np.ones(len(classes))}
    if any(image["gt_human"].any() for image in perfect):
        ones = {"ap": [1.0] * 9, "pcp": [1.0] * 9, "mean_best_iou": 1.0}
        assert agree(instance_scores(perfect, 4, "person_smp"), ones)
    present = {int(label) for image in perfect for label in image["gt_instance_class"]}
    assert agree(instance_scores(perfect, 4)["ap"], [len(present) / 3] * 9)


def strip(*values: int) -> npt.NDArray[np.uint8]:
    return np.array([values], np.uint8)


def test_an_overlap_of_exactly_the_threshold_is_no_match() -> None:
    image = {
        "gt_instance": strip(1, 1, 0, 0),
        "gt_instance_class": np.array([1]),
        "pred_instance": strip(1, 0, 0, 0),
        "pred_instance_class": np.array([1]),
        "pred_instance_score": np.array([1.0]),
    }
    ap = instance_scores([image], 2)["ap"]
    assert ap == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_two_parts_may_claim_the_same_true_part_so_ap_can_exceed_one() -> None:
    image = {
        "gt_instance": strip(1, 1, 1, 1, 1, 0),
        "gt_instance_class": np.array([1]),
        "pred_instance": strip(1, 1, 2, 2, 2, 0),
        "pred_instance_class": np.array([1, 1]),
        "pred_instance_score": np.array([1.0, 0.5]),
    }
    assert instance_scores([image], 2)["ap"][:5] == [2, 2, 2, 1 / 2, 1 / 2]


def test_two_people_may_not_claim_the_same_true_person() -> None:
    whole = strip(1, 1, 2, 2, 0, 0)
    image = {
        "gt_category": whole,
        "gt_human": strip(1, 1, 1, 1, 0, 0),
        "person_map": np.stack([whole, whole]),
        "person_map_score": np.array([0.5, 1.0]),
    }
    scores = instance_scores([image], 3, "person_maps_smp")
    assert scores["ap_50"] == 1 and scores["pcp_50"] == 1
    other = {**image, "person_map": np.stack([whole, strip(1, 1, 2, 0, 0, 0)])}
    scores = instance_scores([other], 3, "person_maps_smp")
    assert scores["ap"][8] == 0.5  # the surer one fits less than .9, so the other comes second
    assert scores["pcp"][5] == 0.5  # the surer one took the person, with one of two parts above .6


def test_an_id_without_a_pixel_is_dropped() -> None:
    image = {
        "gt_category": strip(1, 1, 0),
        "gt_human": strip(3, 3, 0),
        "pred_category": strip(1, 1, 0),
        "pred_human": strip(2, 2, 0),
        "pred_human_id": np.array([1, 2]),
        "pred_human_score": np.array([1.0, 0.5]),
        "gt_instance": strip(2, 2, 0),
        "gt_instance_class": np.array([1, 1]),
        "pred_instance": strip(2, 2, 0),
        "pred_instance_class": np.array([1, 1]),
        "pred_instance_score": np.array([1.0, 0.5]),
    }
    assert instance_scores([image], 2, "person")["ap_vol"] == 1
    assert instance_scores([image], 2, "region")["ap_vol"] == 1


def test_where_there_is_nothing_to_find_scores_are_nan_or_zero_never_a_crash() -> None:
    nothing = {
        "gt_category": strip(0, 0),
        "gt_human": strip(0, 0),
        "gt_instance": strip(0, 0),
        "gt_instance_class": np.zeros(0),
        "pred_instance": strip(1, 0),
        "pred_instance_class": np.array([1]),
        "pred_instance_score": np.array([1.0]),
        "pred_category": strip(1, 0),
        "pred_human": strip(1, 0),
        "pred_human_id": np.array([1]),
        "pred_human_score": np.array([1.0]),
    }
    region = instance_scores([nothing], 3)
    assert np.isnan(region["ap_per_class"]["1"]).all() and region["ap_per_class"]["2"] == [0] * 9
    assert region["ap_vol"] == 0  # class 1 is left out
    person = instance_scores([nothing], 3, "person_smp")
    assert np.isnan(person["ap_vol"]) and np.isnan(person["pcp_50"]) and person["mean_best_iou"] == 0
    assert instance_scores([], 3)["ap_vol"] == 0
    assert np.isnan(instance_scores([], 3, "person")["pcp_50"])


def test_true_people_that_overlap_are_taken_from_their_own_maps() -> None:
    people = np.stack([strip(1, 1, 2, 2), strip(0, 0, 1, 1)])
    labels, humans = merge_people(people)
    image = {
        "gt_category": labels,
        "gt_human": humans,
        "person_map": people,
        "person_map_score": np.array([1.0, 0.5]),
    }
    assert instance_scores([image], 3, "person_maps_smp")["ap_vol"] < 1
    with_maps = {**image, "gt_person_map": people}
    assert instance_scores([with_maps], 3, "person_maps_smp")["ap_vol"] == 1


def test_a_true_person_without_a_labelled_pixel_is_nobody() -> None:
    person = strip(1, 1, 0, 0)
    image = {
        "gt_person_map": np.stack([person, np.zeros_like(person)]),
        "person_map": person[None],
        "person_map_score": np.array([1.0]),
    }
    scores = instance_scores([image], 2, "person_maps_smp")
    assert scores["ap_vol"] == 1 and scores["pcp_50"] == 1


def test_ignored_pixels_of_a_person_count_for_no_class() -> None:
    truth = strip(1, 1, 255, 255, 0)[None]
    iou = person_iou(strip(1, 1, 1, 2, 0)[None], truth, 3)[0, 0]
    assert iou[:2].tolist() == [1, 1] and np.isnan(iou[2])


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    image = picture(np.random.default_rng(0))
    cases: list[tuple[dict[str, Any], Kind, str]] = [
        ({"pred_instance_score": np.ones(1)}, "region", "pred_instance_score and pred_instance_class"),
        ({"gt_instance": np.zeros((1, 1), np.uint8)}, "region", "pred_instance and gt_instance do not fit"),
        (
            {"gt_instance_class": np.array([1])},
            "region",
            r"gt_instance holds id \d+, but 1 classes are listed",
        ),
        ({"pred_instance_class": image["pred_instance_class"] + 9}, "region", "but there are 4 classes"),
        ({"pred_human_score": np.ones(1)}, "person", "pred_human_id and pred_human_score"),
        ({"pred_category": strip(0)}, "person", "pred_category and pred_human"),
        ({"gt_human": strip(0)}, "person", "gt_category and gt_human"),
        ({"person_map_score": np.ones(9)}, "person_maps_smp", "scores and predicted people"),
        ({"person_map": image["person_map"] + 9}, "person_maps_smp", "classes are 0 to 3"),
        ({"person_map": np.zeros((1, 2, 2), np.uint8)}, "person_maps_smp", "predicted and true people"),
    ]
    for change, kind, reason in cases:
        with pytest.raises(ScoreError, match=reason):
            instance_scores([{**image, **change}], 4, kind)
    with pytest.raises(ScoreError, match="an image lacks 'pred_instance'; it has gt_category"):
        instance_scores([{"gt_category": strip(0)}], 4)
    with pytest.raises(ScoreError, match="region, person, person_smp, person_maps_smp, not 'parts'"):
        instance_scores([], 4, "parts")  # type: ignore[arg-type]
    for kind_of_scores in (PartScores, PersonScores):
        with pytest.raises(ScoreError, match="do not fit: 4 and 5"):
            kind_of_scores(4).merge(kind_of_scores(5))
