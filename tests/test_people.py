"""`Person` as a value, people in pictures and in files."""

from __future__ import annotations

import base64
import io
import json
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from humanparse import FormatError, Parsing, PeopleError, Person, SchemeError, get_scheme
from humanparse.formats import FORMATS, decode_rle, encode_rle
from humanparse.people import paint_people
from humanparse.render import person_colour

CIHP = get_scheme("cihp")

LABELS = np.array(
    [
        [0, 2, 2, 0, 0, 0],
        [0, 13, 13, 0, 2, 0],
        [5, 5, 5, 5, 13, 5],
        [0, 9, 9, 0, 5, 5],
    ],
    dtype=np.uint8,
)
LEFT = np.array([[1, 1, 1, 0, 0, 0]] * 4, dtype=bool)


def pair() -> Parsing:
    """Two people: the left one in a box that is too small, the right one all that is left."""
    left = Person.cut(1, (0, 0, 2, 3), 0.9, LABELS, LEFT, CIHP, {"Hair": 3.5, "Face": 2.0})
    right = Person.cut(2, (3, 0, 6, 4), 0.7, LABELS, ~LEFT, CIHP, {"Hair": -1.25})
    return Parsing(LABELS, CIHP, "schp-cihp", people=(left, right))


def test_a_person_gives_their_own_parts_in_the_pictures_pixels() -> None:
    left, right = pair().people
    assert np.array_equal(left.part("hair"), (LABELS == 2) & LEFT)
    assert np.array_equal(right.part("Hair", "Face"), np.isin(LABELS, (2, 13)) & ~LEFT)
    assert np.array_equal(left.part("head"), np.isin(LABELS, (1, 2, 4, 13)) & LEFT)  # a group
    assert np.array_equal(left.mask, LEFT) and np.array_equal(right.mask, ~LEFT)
    assert [part.name for part in left.parts()] == ["Hair", "Upper-clothes", "Pants", "Face"]
    assert left.parts()[0].box == (1, 0, 3, 1) and left.parts()[0].share == 2 / 24
    assert left.part_scores["Hair"] == 3.5
    with pytest.raises(SchemeError, match="did you mean"):
        left.part("Haar")


def test_a_box_is_widened_to_hold_all_of_the_person() -> None:
    left = pair().people[0]
    assert left.box == (0, 0, 3, 4) and left.labels.shape == (4, 3)


def test_a_person_without_a_pixel_keeps_the_box() -> None:
    nobody = Person.cut(3, (1, 1, 4, 3), 0.5, LABELS, np.zeros_like(LEFT), CIHP)
    assert nobody.box == (1, 1, 4, 3) and not nobody.mask.any() and nobody.parts() == []
    assert "no part" in repr(nobody)


def test_arrays_that_do_not_fit_the_box_are_refused() -> None:
    with pytest.raises(PeopleError, match=r"person 1: the box .* is \(2, 2\)"):
        Person(1, (0, 0, 2, 2), 1.0, LABELS, LEFT, (4, 6), CIHP)
    with pytest.raises(PeopleError, match="leaves the picture"):
        Person(1, (4, 0, 10, 4), 1.0, LABELS, LEFT, (4, 6), CIHP)


def test_people_compare_pickle_and_print_well() -> None:
    assert pair() == pair() == pickle.loads(pickle.dumps(pair()))
    left, right = pair().people
    assert left != right and left != "left"
    assert left != Person.cut(1, (0, 0, 2, 3), 0.9, LABELS, LEFT, CIHP)  # other part scores
    assert pair() != Parsing(LABELS, CIHP, "schp-cihp")
    assert repr(left).startswith("Person(1, score 0.90, box (0, 0, 3, 4): Upper-clothes, Hair, Pants, Face")
    assert repr(pair()).startswith("Parsing(6x4 px, 2 people, cihp, schp-cihp: ")
    with pytest.raises(TypeError):
        hash(left)


def test_a_remap_goes_through_to_the_people() -> None:
    coarse = pair().remap("coarse")
    left, right = coarse.people
    assert np.array_equal(left.part("Head"), coarse.mask("Head") & LEFT)
    assert np.array_equal(right.part("Upper-clothes"), coarse.mask("Upper-clothes") & ~LEFT)
    assert left.part_scores == {} and left.scheme.key == "coarse" and left.score == 0.9


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_people_are_saved_and_loaded_equal(suffix: str, tmp_path: Path) -> None:
    path = pair().save(tmp_path / f"pair{suffix}")
    assert Parsing.load(path) == pair()
    assert Parsing.load(path, scheme="lip").people[0].scheme.key == "lip"


def test_a_png_keeps_labels_only(tmp_path: Path) -> None:
    assert Parsing.load(pair().save(tmp_path / "pair.png")).people == ()


@st.composite
def crowds(draw: st.DrawFn) -> Parsing:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = random.integers(0, 20, (height, width)).astype(np.uint8)
    people = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        mask = random.random((height, width)) < random.random()
        x0, y0 = random.integers(0, width), random.integers(0, height)
        box = (int(x0), int(y0), int(random.integers(x0, width + 1)), int(random.integers(y0, height + 1)))
        scores = {"Hair": float(random.normal())}
        people.append(Person.cut(number, box, float(random.random()), labels, mask, CIHP, scores))
    return Parsing(labels, CIHP, "x", people=tuple(people))


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@given(parsing=crowds())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_crowd_is_saved_and_loaded_equal(suffix: str, parsing: Parsing, tmp_path: Path) -> None:
    assert Parsing.load(parsing.save(tmp_path / f"crowd{suffix}")) == parsing


@pytest.mark.parametrize("damage", ["box", "label", "score"])
def test_damaged_people_are_a_clear_error(damage: str, tmp_path: Path) -> None:
    path = pair().save(tmp_path / "pair.json")
    content = json.loads(path.read_text())
    if damage == "box":
        content["people"][0]["box"] = [0, 0, 1, 1]
    elif damage == "score":
        content["people"][0]["score"] = "high"
    else:
        content["people"][0]["parts"][0]["label"] = 77
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"pair\.json"):
        Parsing.load(path)


def test_the_submission_folders_line_up_ids_classes_and_scores(tmp_path: Path) -> None:
    files = pair().export("cihp", tmp_path, "0001")
    assert sorted(str(file.relative_to(tmp_path)) for file in files) == [
        "global_parsing/0001.png",
        "global_tag/0001.png",
        "global_tag/0001.txt",
        "instance_parsing/0001.png",
        "instance_parsing/0001.txt",
    ]
    tags = np.array(Image.open(tmp_path / "global_tag" / "0001.png"))
    assert np.array_equal(tags, np.where(LEFT, 1, 2))
    assert np.array_equal(np.array(Image.open(tmp_path / "global_parsing" / "0001.png")), LABELS)
    instances = np.array(Image.open(tmp_path / "instance_parsing" / "0001.png"))
    lines = [line.split() for line in (tmp_path / "instance_parsing" / "0001.txt").read_text().splitlines()]
    assert [int(label) for label, _ in lines] == [2, 5, 9, 13, 2, 5, 13]
    assert [float(score) for _, score in lines] == [3.5, 0.9, 0.9, 2.0, -1.25, 0.7, 0.7]
    for number, (label, _) in enumerate(lines, 1):
        assert set(LABELS[instances == number].tolist()) == {int(label)}
    assert (tmp_path / "global_tag" / "0001.txt").read_text() == "0.900000 0 0 4 3\n0.700000 0 3 4 6\n"


def test_more_parts_than_eight_bits_hold_are_all_written(tmp_path: Path) -> None:
    labels = np.tile(np.arange(1, 16, dtype=np.uint8), (20, 1))
    rows = np.arange(20)[:, None] * np.ones((1, 15))
    people = tuple(
        Person.cut(row + 1, (0, row, 15, row + 1), 1.0, labels, rows == row, CIHP) for row in range(20)
    )
    Parsing(labels, CIHP, people=people).export("cihp", tmp_path, "crowd")
    ids = np.array(Image.open(tmp_path / "instance_parsing" / "crowd.png"))
    assert np.array_equal(ids, np.arange(1, 301).reshape(20, 15))
    assert len((tmp_path / "instance_parsing" / "crowd.txt").read_text().splitlines()) == 300


def test_of_people_who_overlap_the_lower_id_lies_on_top() -> None:
    both = np.ones_like(LEFT)
    one, two = (Person.cut(number, (0, 0, 6, 4), 0.5, LABELS, both, CIHP) for number in (1, 2))
    assert (paint_people((one, two), (4, 6)) == 1).all()


def test_each_person_has_a_label_png_of_their_own(tmp_path: Path) -> None:
    files = pair().export("mhp", tmp_path, "0001")
    assert [file.name for file in files] == ["0001_02_01.png", "0001_02_02.png"]
    with Image.open(files[1]) as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), np.where(LEFT, 0, LABELS))


def test_coco_json_is_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = pair().export("coco", tmp_path, "0001")
    data = COCO(str(path))
    person = data.getCatIds(catNms=["person"])[0]
    people = data.loadAnns(data.getAnnIds(catIds=[person]))
    assert [one["score"] for one in people] == [0.9, 0.7] and people[0]["bbox"] == [0, 0, 3, 4]
    assert np.array_equal(data.annToMask(people[0]).astype(bool), LEFT)
    hair = data.loadAnns(data.getAnnIds(catIds=data.getCatIds(catNms=["Hair"])))
    assert [part["person_id"] for part in hair] == [1, 2] and hair[0]["score"] == 3.5
    assert np.array_equal(data.annToMask(hair[1]).astype(bool), pair().people[1].part("Hair"))


def test_coco_json_holds_the_pictures_parts_where_nobody_was_looked_for(tmp_path: Path) -> None:
    (path,) = Parsing(LABELS, pair().scheme, "m").export("coco", tmp_path, "0001")
    data = COCO(str(path))
    found = {one["category_id"]: data.annToMask(one) for one in data.loadAnns(data.getAnnIds())}
    assert set(found) == set(np.unique(LABELS).tolist()) - {0} and not data.getCatIds(catNms=["person"])
    for label, mask in found.items():
        assert np.array_equal(mask.astype(bool), label == LABELS)


def test_labelme_json_holds_each_part_of_each_person(tmp_path: Path) -> None:
    (path,) = pair().export("labelme", tmp_path, "0001")
    content = json.loads(path.read_text())
    assert (content["imageHeight"], content["imageWidth"]) == (4, 6)
    for shape in content["shapes"]:
        person = pair().people[shape["group_id"] - 1]
        (x0, y0), (x1, y1) = shape["points"]
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as picture:
            mask = np.array(picture).astype(bool)
        assert np.array_equal(mask, person.part(shape["label"])[y0 : y1 + 1, x0 : x1 + 1])
    assert len(content["shapes"]) == 7


def test_labelme_json_holds_the_pictures_parts_where_nobody_was_looked_for(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[0, 0] = 255
    (path,) = Parsing(labels, CIHP).export("labelme", tmp_path, "0001")
    shapes = json.loads(path.read_text())["shapes"]
    assert [shape["label"] for shape in shapes] == ["Hair", "Upper-clothes", "Pants", "Face"]
    assert {shape["group_id"] for shape in shapes} == {None}
    assert shapes[0]["points"] == [[1, 0], [4, 1]]


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_of_people_that_carry_no_statement_are_no_part(kind: str, tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[2, :4] = 255
    person = Person.cut(1, None, 0.5, labels, LEFT, CIHP)
    parsing = Parsing(labels, CIHP, people=(person,))
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg")
    files = parsing.export(kind, tmp_path, photo=tmp_path / "a.jpg")
    written = b"".join(path.read_bytes() for path in files if path.suffix in (".json", ".txt"))
    if kind == "json":
        assert Parsing.load(files[0]) == parsing
    else:
        assert b"255" not in written and b"Ignore" not in written


def test_an_unknown_format_or_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no format 'voc' here; use png, npz, .*, mhp$"):
        pair().export("voc", tmp_path, "0001")
    with pytest.raises(FormatError, match="check that the folder exists"):
        pair().export("coco", tmp_path / "nowhere", "0001")


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_are_read(seed: int) -> None:
    mask = np.random.default_rng(seed).random((37, 53)) < 0.1 + 0.2 * seed
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(decode_rle(packed), mask)
    assert np.array_equal(decode_rle({**packed, "counts": packed["counts"].decode()}), mask)
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)


def photo(height: int = 120, width: int = 200) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 90, dtype=np.uint8)


def test_an_overlay_outlines_each_person_in_a_colour_and_the_legend_names_them() -> None:
    labels = np.zeros((120, 200), dtype=np.uint8)
    labels[20:110, 20:80] = labels[30:110, 120:180] = 5
    left = labels.astype(bool) & (np.arange(200) < 100)
    people = (
        Person.cut(1, (20, 20, 80, 110), 0.9, labels, left, CIHP),
        Person.cut(2, (120, 30, 180, 110), 0.8, labels, labels.astype(bool) & ~left, CIHP),
    )
    parsing = Parsing(labels, CIHP, people=people)
    picture = np.asarray(parsing.overlay(photo()))
    assert tuple(picture[109, 40]) == person_colour(1) != person_colour(2) == tuple(picture[109, 150])
    plain = np.asarray(Parsing(labels, CIHP).overlay(photo()))
    assert tuple(picture[70, 50]) == tuple(plain[70, 50])  # inside, parts keep their colours
    assert np.array_equal(picture[:, 85:100], plain[:, 85:100])
    with_legend = parsing.overlay(photo(), legend=True)
    assert with_legend.width > 200
    assert np.array_equal(np.asarray(with_legend)[:120, :200], picture)


def test_colours_of_a_crowd_differ() -> None:
    assert len({person_colour(number) for number in range(1, 41)}) == 40


def test_people_at_the_border_and_without_pixels_are_drawn() -> None:
    labels = np.full((9, 9), 5, dtype=np.uint8)
    everything = Person.cut(1, (0, 0, 9, 9), 1.0, labels, labels > 0, CIHP)
    nobody = Person.cut(2, (2, 2, 5, 5), 1.0, labels, labels > 9, CIHP)
    picture = Parsing(labels, CIHP, people=(everything, nobody)).overlay(photo(9, 9))
    assert picture.size == (9, 9)
