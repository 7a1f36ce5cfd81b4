"""Cleaning of label maps and edges of masks: what the words mean, and that they mean it everywhere."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from command import Run, runner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from humanparse import ModelError, Parser, Parsing, SchemeError, bulk, get_scheme
from humanparse.adapters.agnostic import agnostic_mask
from humanparse.adapters.cutout import cutout
from humanparse.cleaning import Cleaning, edged
from humanparse.ops import clean
from humanparse.ops.regions import find_regions
from humanparse.people import Person

Labels = npt.NDArray[np.uint8]
PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
MAPS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 2, 255]))
WORDS = st.fixed_dictionaries(
    {
        "min_area": st.one_of(st.integers(0, 12), st.sampled_from(["5%", "0.5 %", "20%"])),
        "fill": st.one_of(st.integers(0, 12), st.sampled_from(["3%", "10%"])),
        "smooth": st.integers(0, 4),
    }
)


def atr(rows: list[list[int]]) -> Parsing:
    return Parsing(np.array(rows, dtype=np.uint8), ATR)


def flooded(labels: Labels) -> list[list[tuple[int, int]]]:
    """The 8-connected regions, pixel by pixel."""
    seen, found = np.zeros(labels.shape, dtype=bool), []
    for start in np.ndindex(labels.shape):
        if seen[start]:
            continue
        seen[start], queue, region = True, deque([start]), []
        while queue:
            y, x = queue.popleft()
            region.append((y, x))
            for v in range(max(y - 1, 0), min(y + 2, labels.shape[0])):
                for u in range(max(x - 1, 0), min(x + 2, labels.shape[1])):
                    if not seen[v, u] and labels[v, u] == labels[start]:
                        seen[v, u] = True
                        queue.append((v, u))
        found.append(region)
    return found


def edges(labels: Labels, region: list[tuple[int, int]]) -> dict[int, int]:
    """Label around a region -> along how many pixel edges."""
    inside, touched = set(region), dict[int, int]()
    for y, x in region:
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if (v, u) not in inside and 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1]:
                touched[int(labels[v, u])] = touched.get(int(labels[v, u]), 0) + 1
    return touched


@given(MAPS)
@settings(deadline=None)
def test_regions_are_those_of_a_flood(labels: Labels) -> None:
    regions = find_regions(labels)
    of_pixel = np.repeat(regions.of_run, regions.lengths).reshape(labels.shape)
    assert np.array_equal(regions.painted(regions.labels), labels)
    sides = {(int(one), int(other)): int(length) for one, other, length in regions.sides}
    assert len(regions.labels) == len(flooded(labels))
    for region in flooded(labels):
        (number,) = {int(of_pixel[spot]) for spot in region}
        assert regions.areas[number] == len(region) and regions.labels[number] == labels[region[0]]
        height, width = labels.shape
        outer = any(y in (0, height - 1) or x in (0, width - 1) for y, x in region)
        assert regions.at_border[number] == outer
        around = edges(of_pixel, region) if len(regions.labels) < 255 else {}
        assert around == {other: length for (one, other), length in sides.items() if one == number}


@given(labels=MAPS, words=WORDS)
@settings(deadline=None, max_examples=300)
def test_cleaning_twice_is_cleaning_once_adds_no_label_and_leaves_ignored_pixels(
    labels: Labels, words: dict[str, Any]
) -> None:
    before = Parsing(labels, ATR, "a model")
    after = before.cleaned(**words)
    assert after.cleaned(**words) == after
    assert set(np.unique(after.labels)) <= set(np.unique(labels))
    assert np.array_equal(after.labels == 255, labels == 255)
    assert after.model == "a model" and np.array_equal(before.labels, labels)
    if not words["smooth"]:  # islands and holes stay away by themselves, not because they are on record
        again = Parsing(after.labels, ATR).cleaned(**words)
        assert np.array_equal(again.labels, after.labels)


@given(labels=MAPS, area=st.integers(2, 12))
@settings(deadline=None, max_examples=300)
def test_an_island_takes_the_label_that_it_touches_most(labels: Labels, area: int) -> None:
    after = clean.absorb_islands(labels, area)
    regions = flooded(labels)
    large = {spot for region in regions if len(region) >= area for spot in region}
    for region in regions:
        now = {int(after[spot]) for spot in region}
        assert len(now) == 1  # a region keeps together
        if len(region) >= area or labels[region[0]] == 255:
            assert now == {int(labels[region[0]])}
            continue
        height, width = labels.shape
        there = [[(y, x) in large for x in range(width)] for y in range(height)]
        mainland = np.where(there, labels, 255).astype(np.uint8)
        touched = {label: length for label, length in edges(mainland, region).items() if label != 255}
        if touched:
            most = max(touched.values())
            assert now == {min(label for label, length in touched.items() if length == most)}
    left = [region for region in flooded(after) if len(region) < area and after[region[0]] != 255]
    for region in left:  # among islands and ignored pixels alone
        assert all((y, x) not in large or after[y, x] == 255 for y, x in _around(region, labels.shape))


def _around(region: list[tuple[int, int]], shape: tuple[int, ...]) -> set[tuple[int, int]]:
    near = {spot for y, x in region for spot in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))}
    return {(y, x) for y, x in near - set(region) if 0 <= y < shape[0] and 0 <= x < shape[1]}


@given(labels=MAPS, area=st.integers(1, 12))
@settings(deadline=None, max_examples=300)
def test_a_hole_is_background_inside_one_part(labels: Labels, area: int) -> None:
    after = clean.fill_holes(labels, area, 0)
    for region in flooded(labels):
        around, label = edges(labels, region), int(labels[region[0]])
        inner = all(0 < y < labels.shape[0] - 1 and 0 < x < labels.shape[1] - 1 for y, x in region)
        hole = label == 0 and inner and len(region) <= area and len(around) == 1 and 255 not in around
        expected = next(iter(around)) if hole else label
        assert {int(after[spot]) for spot in region} == {expected}


@given(labels=MAPS, radius=st.integers(1, 5))
@settings(deadline=None, max_examples=200)
def test_smoothing_gives_the_label_that_weighs_most_within_the_radius(labels: Labels, radius: int) -> None:
    after = clean.smooth(labels, radius)
    halves = radius // 2, radius - radius // 2
    line = np.convolve(*(np.ones(2 * half + 1) for half in halves))
    kernel = np.outer(line, line)
    assert kernel.shape == (2 * radius + 1,) * 2 and kernel[0, 0] == 1
    padded = np.pad(labels, radius, constant_values=255)
    for y, x in np.ndindex(labels.shape):
        window = padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
        weights = {int(label): kernel[window == label].sum() for label in np.unique(window) if label != 255}
        own = int(labels[y, x])
        if own == 255:
            assert after[y, x] == 255
            continue
        most = max(weights.values())
        winners = sorted(label for label, weight in weights.items() if weight == most)
        assert after[y, x] == (own if own in winners else winners[0])


def test_a_large_map_is_smoothed_as_its_pieces_are(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    labels = np.kron(random.integers(0, 6, (40, 30)), np.ones((9, 11))).astype(np.uint8)
    whole = clean.smooth(labels, 4)
    assert (whole != labels).any()
    for tile in (37, 5000):
        monkeypatch.setattr(clean, "_TILE", tile)
        assert np.array_equal(clean.smooth(labels, 4), whole)


def test_what_is_left_out_changes_nothing() -> None:
    parsing = atr([[0, 4, 0], [4, 0, 4], [0, 4, 0]])
    assert parsing.cleaned() == parsing and parsing.cleaned().cleaning == ()
    assert parsing.cleaned(min_area=1).labels.tolist() == parsing.labels.tolist()


def test_the_words_work_together_in_their_order() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[5:35, 5:35] = 4
    labels[10:12, 10:12] = 6  # an island
    labels[20:23, 20:23] = 0  # a hole
    labels[4, 15] = 4  # a tooth in the border
    clean_map = np.zeros_like(labels)
    clean_map[5:35, 5:35] = 4
    parsing = Parsing(labels, ATR)
    assert np.array_equal(
        parsing.cleaned(min_area=5, fill=9).labels, np.where(labels == 6, 4, clean_map | labels)
    )
    smooth = parsing.cleaned(min_area="0.5%", fill="0.6%", smooth=2).labels
    assert (smooth[8:32, 8:32] == 4).all() and smooth[4, 15] == 0
    assert (smooth != clean_map).sum() <= 4 * 3  # only the corners are rounded


@given(labels=hnp.arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 0, 4, 4, 6])), words=WORDS)
@settings(deadline=None)
def test_people_are_kept(labels: Labels, words: dict[str, Any]) -> None:
    left = (labels > 0) & (np.arange(8) < 4)
    right = (labels > 0) & (np.arange(8) >= 3)
    people = tuple(
        Person.cut(number, (0, 0, 8, 6), 1 / number, labels, mask, ATR, {"Pants": 2.0})
        for number, mask in ((1, left), (2, right))
    )
    after = Parsing(labels, ATR, people=people).cleaned(**words)
    for before, person in zip(people, after.people, strict=True):
        assert (person.id, person.box, person.score) == (before.id, before.box, before.score)
        assert np.array_equal(person.silhouette, before.silhouette)
        assert not person.labels[~person.silhouette].any()
        assert np.array_equal(person.labels[person.silhouette], after.labels[person.silhouette])


def test_hidden_parts_of_a_person_stay() -> None:
    labels = np.full((3, 3), 4, dtype=np.uint8)
    labels[1, 1] = 6
    theirs = np.full((3, 3), 9, dtype=np.uint8)  # somebody in front hides them
    person = Person(1, (0, 0, 3, 3), 1.0, theirs, np.ones((3, 3), bool), (3, 3), ATR)
    (after,) = Parsing(labels, ATR, people=(person,)).cleaned(min_area=2).people
    assert (after.labels == 9).all()


def test_confidence_and_logits_stay_those_of_the_network() -> None:
    confidence, logits = np.full((3, 3), 0.5, np.float16), np.zeros((18, 1, 1), np.float32)
    before = Parsing(atr([[4, 4, 4], [4, 6, 4], [4, 4, 4]]).labels, ATR, "", confidence, logits)
    after = before.cleaned(min_area=2)
    assert (after.labels == 4).all()
    assert np.array_equal(after.confidence, confidence) and np.array_equal(after.logits, logits)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_files_log_what_was_cleaned(suffix: str, tmp_path: Path) -> None:
    parsing = atr([[4, 4, 4], [4, 6, 4], [4, 4, 4]]).cleaned(min_area="30%", fill=2).cleaned(smooth=1)
    read = Parsing.load(parsing.save(tmp_path / f"clean{suffix}"))
    assert read == parsing and [step.words() for step in read.cleaning] == [
        {"min_area": "30%", "fill": 2, "scheme": "atr"},
        {"smooth": 1, "scheme": "atr"},
    ]
    assert read.cleaned(smooth=1) is read
    assert parsing != Parsing(parsing.labels, ATR)
    coarse = parsing.remap("coarse")
    assert coarse.cleaning == parsing.cleaning and coarse.cleaned(smooth=1).cleaning[-1].scheme == "coarse"


def test_a_file_of_before_has_no_log(tmp_path: Path) -> None:
    path = atr([[4, 0]]).save(tmp_path / "plain.json")
    assert "cleaning" not in json.loads(path.read_text())
    assert Parsing.load(path).cleaning == ()


@pytest.mark.parametrize(
    "words",
    [
        {"min_area": -1}, {"min_area": 2.5}, {"min_area": "many"}, {"min_area": "101%"}, {"min_area": True},
        {"fill": "-3%"}, {"fill": None}, {"smooth": -1}, {"smooth": 101}, {"smooth": "3"}, {"smooth": 1.0},
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(words))):
        atr([[0]]).cleaned(**words)


def test_areas_are_numbers_of_pixels_or_shares_of_the_picture() -> None:
    assert Cleaning(min_area="12").min_area == 12 and Cleaning(fill=" 0.10 % ").fill == "0.1%"
    assert not Cleaning(min_area="0%") and not Cleaning() and Cleaning(smooth=1)
    labels = np.full((10, 10), 4, dtype=np.uint8)
    labels[3, 3:6] = 6
    for area, gone in ((3, False), (4, True), ("3%", False), ("4%", True), ("3.9%", False)):
        assert (Parsing(labels, ATR).cleaned(min_area=area).labels == 4).all() == gone


def test_schemes_without_background_have_no_holes() -> None:
    street = Parsing(np.zeros((4, 4), np.uint8), get_scheme("cityscapes"))
    with pytest.raises(SchemeError, match="cityscapes has no background"):
        street.cleaned(fill=10)
    assert street.cleaned(min_area=2).labels.shape == (4, 4)


# Masks


@given(hnp.arrays(np.bool_, SHAPES), st.integers(0, 5))
@settings(deadline=None)
def test_a_mask_grows_by_distance_and_shrinks_by_the_growth_of_the_rest(
    mask: npt.NDArray[np.bool_], pixels: int
) -> None:
    spots = np.argwhere(mask)
    near = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        near[y, x] = bool(len(spots)) and (((spots - (y, x)) ** 2).sum(axis=1) <= pixels**2).any()
    assert np.array_equal(clean.grow(mask, pixels), near)
    assert np.array_equal(clean.shrink(~mask, pixels), ~near)


@given(hnp.arrays(np.bool_, SHAPES), *[st.integers(0, 4)] * 3)
@settings(deadline=None)
def test_edges_are_grown_then_shrunk_then_feathered(
    mask: npt.NDArray[np.bool_], grow: int, shrink: int, feather: int
) -> None:
    alpha = edged(mask, grow, shrink, feather)
    solid = clean.shrink(clean.grow(mask, grow), shrink)
    assert not alpha[~solid].any()
    assert feather or np.array_equal(alpha == 255, solid)
    assert (
        grow < shrink or (solid | ~mask).all()
    )  # grown at least as far as shrunk: nothing of the mask is lost
    with pytest.raises(ModelError, match="shrink must be pixels from 0 to 1000, not -1"):
        edged(mask, shrink=-1)


# The same words everywhere


@pytest.fixture(scope="module")
def parsing() -> Parsing:
    return Parser().predict(PHOTO)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


CLEAN = ("--min-area", "0.2%", "--fill", 300, "--smooth", 2)
CLEANED = {"min_area": "0.2%", "fill": 300, "smooth": 2}


def test_predict_cleans_what_it_writes(run: Run, tmp_path: Path, parsing: Parsing) -> None:
    clean = parsing.cleaned(**CLEANED)
    assert (clean.labels != parsing.labels).any()
    done = run("predict", PHOTO, "-o", "out", *CLEAN, "--json", "--overlay")
    assert done.status == 0, done.err
    assert Parsing.load(tmp_path / "out" / "grace_hopper.png") == clean
    assert Parsing.load(tmp_path / "out" / "grace_hopper.json") == clean
    with Image.open(tmp_path / "out" / "grace_hopper_overlay.png") as overlay:
        assert overlay.tobytes() == clean.overlay(PHOTO).tobytes()
    for words, said in (
        (("--min-area", "lots"), "min_area takes whole pixels"),
        (("--smooth", "200"), "0 to 100"),
    ):
        done = run("predict", PHOTO, "-o", "out", *words)
        assert done.status == 1 and said in done.err


def test_cutout_and_agnostic_clean_first_and_edge_their_masks(
    run: Run, tmp_path: Path, parsing: Parsing
) -> None:
    clean = parsing.cleaned(**CLEANED)
    done = run("cutout", PHOTO, "--keep", "head", *CLEAN, "--grow", 3, "--shrink", 1, "--feather", 2)
    assert done.status == 0, done.err
    with Image.open(tmp_path / "cutout.png") as picture:
        expected = cutout(PHOTO, clean, ["head"], grow=3, shrink=1, feather=2)
        assert picture.tobytes() == expected.tobytes()
    alpha = np.asarray(expected)[..., 3]
    assert np.array_equal(alpha, edged(clean.mask("head"), 3, 1, 2))
    done = run("agnostic", PHOTO, *CLEAN, "--grow", 3, "--shrink", 1, "--feather", 2)
    assert done.status == 0, done.err
    with Image.open(tmp_path / "mask.png") as mask:
        assert np.array_equal(np.asarray(mask), agnostic_mask(clean, grow=3, shrink=1, feather=2))
    hard = agnostic_mask(clean) > 0
    assert np.array_equal(agnostic_mask(clean, grow=3, shrink=1, feather=2), edged(hard, 3, 1, 2))


def test_a_run_over_a_data_set_cleans_and_its_journal_says_so(
    run: Run, tmp_path: Path, parsing: Parsing
) -> None:
    done = run("label", PHOTO.parent, "-o", "labels", *CLEAN)
    assert done.status == 0, done.err
    assert Parsing.load(tmp_path / "labels" / "grace_hopper.png") == parsing.cleaned(**CLEANED)
    _, _, about = bulk.status(tmp_path / "labels")
    assert {word: about[word] for word in CLEANED} == CLEANED
    other = run("label", PHOTO.parent, "-o", "labels", "--resume")
    assert other.status == 1 and "other settings" in other.err and "min_area" in other.err
    with pytest.raises(ModelError, match="smooth"):
        bulk.Settings(smooth=-2)


def test_cleaning_comes_before_doubtful_pixels_are_taken_out_and_labels_are_renamed(
    tmp_path: Path, parsing: Parsing
) -> None:
    asked = bulk.Settings(min_confidence=0.6, remap="coarse", **CLEANED)
    bulk.label(str(PHOTO), tmp_path / "labels", settings=asked)
    parsing = Parser().predict(PHOTO, confidence=True)
    expected = parsing.cleaned(**CLEANED).labels.copy()
    assert parsing.confidence is not None
    expected[parsing.confidence < 0.6] = 255
    after = Parsing.load(tmp_path / "labels" / "grace_hopper.png")
    assert np.array_equal(after.labels, Parsing(expected, ATR).remap("coarse").labels)
    assert after.cleaning == (Cleaning(**CLEANED, scheme="atr"),)
