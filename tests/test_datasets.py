"""Data sets in the folders that their archives make, and the ways between CIHP and LV-MHP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from humanparse import DatasetError, get_scheme
from humanparse.metrics.datasets import read_dataset
from humanparse.metrics.instance_maps import describe_instances, merge_people, part_instances, split_people

Map = npt.NDArray[np.uint8]


def put(path: Path, numbers: Map) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (40, 90, 120)).save(path)


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def labels(first: int, classes: int = 7) -> Map:
    return (np.arange(20, dtype=np.uint8).reshape(4, 5) + first) % classes


def lip(root: Path) -> None:
    lines(root / "TrainVal_images" / "val_id.txt", "100034_483681", "")
    photo(root / "TrainVal_images" / "val_images" / "100034_483681.jpg")
    photo(root / "TrainVal_images" / "val_images" / "not_listed.jpg")
    put(root / "TrainVal_parsing_annotations" / "val_segmentations" / "100034_483681.png", labels(1))


def lip_as_schp_has_it(root: Path) -> None:
    lines(root / "val_id.txt", "100034_483681")
    photo(root / "val_images" / "100034_483681.jpg")
    put(root / "val_segmentations" / "100034_483681.png", labels(1))


def atr(root: Path) -> None:
    lines(root / "test_id.txt", "dataset10k_997.jpg")
    photo(root / "humanparsing" / "JPEGImages" / "dataset10k_997.jpg")
    put(root / "humanparsing" / "SegmentationClassAug" / "dataset10k_997.png", labels(1))


def pascal(root: Path) -> None:
    top = root / "pascal_person_part"
    lines(
        top / "pascal_person_part_trainval_list" / "val.txt",
        "/JPEGImages/2008_000008.jpg /pascal_person_part_gt/2008_000008.png",
    )
    photo(root / "VOCdevkit" / "VOC2010" / "JPEGImages" / "2008_000008.jpg")
    put(top / "pascal_person_part_gt" / "2008_000008.png", labels(1))


def cihp(root: Path) -> None:
    top = root / "instance-level_human_parsing" / "Validation"
    lines(top / "val_id.txt", "0000002", "0000001")
    for number in (1, 2):
        photo(top / "Images" / f"000000{number}.jpg")
        put(top / "Category_ids" / f"000000{number}.png", labels(number))
        put(top / "Human_ids" / f"000000{number}.png", np.repeat(np.array([[1, 1, 2, 2, 0]], np.uint8), 4, 0))
        parts, _, _ = part_instances(labels(number), np.repeat(np.array([[1, 1, 2, 2, 0]], np.uint8), 4, 0))
        put(top / "Instance_ids" / f"000000{number}.png", parts.astype(np.uint8))


def mhpv2(root: Path) -> None:
    top = root / "LV-MHP-v2"
    lines(top / "list" / "val.txt", "3", "30")
    for stem, people in (("3", 2), ("30", 1)):
        photo(top / "val" / "images" / f"{stem}.jpg")
        for which in range(1, people + 1):
            numbers = np.zeros((4, 5, 3), np.uint8)
            numbers[which:, which:, 0] = 50 + which  # the number stands in the red channel
            numbers[..., 2] = 9
            put(top / "val" / "parsing_annos" / f"{stem}_{people:02}_{which:02}.png", numbers)


LAYOUTS: list[tuple[str, Callable[[Path], None], list[str]]] = [
    ("lip", lip, ["100034_483681"]),
    ("lip", lip_as_schp_has_it, ["100034_483681"]),
    ("atr", atr, ["dataset10k_997"]),
    ("pascal", pascal, ["2008_000008"]),
    ("cihp", cihp, ["0000002", "0000001"]),
    ("mhpv2", mhpv2, ["3", "30"]),
]


@pytest.mark.parametrize(("key", "build", "stems"), LAYOUTS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_data_set_is_read_as_its_archive_lies(
    key: str, build: Callable[[Path], None], stems: list[str], tmp_path: Path
) -> None:
    build(tmp_path)
    data = read_dataset(key, tmp_path)
    assert [sample.stem for sample in data] == stems
    assert data.scheme == get_scheme(key) and len(data) == len(stems)
    for sample in data:
        assert sample.image is not None and sample.image.stem == sample.stem and sample.image.is_file()
        truth = sample.truth()
        assert truth["gt_category"].shape == (4, 5) and truth["gt_category"].dtype == np.uint8
        if key not in ("cihp", "mhpv2"):
            assert np.array_equal(truth["gt_category"], labels(1)) and set(truth) == {"gt_category"}


@pytest.mark.parametrize("top", ["instance-level_human_parsing", "."])
def test_one_folder_further_in_is_a_root_too(top: str, tmp_path: Path) -> None:
    cihp(tmp_path)
    assert len(read_dataset("CIHP", tmp_path / top)) == 2


def test_cihp_tells_people_and_their_parts_apart(tmp_path: Path) -> None:
    cihp(tmp_path)
    truth = read_dataset("cihp", tmp_path)[1].truth()
    assert truth["gt_human"][0].tolist() == [1, 1, 2, 2, 0]
    for number, (label, human) in enumerate(
        zip(truth["gt_instance_class"], truth["gt_instance_human"], strict=True), start=1
    ):
        where = truth["gt_instance"] == number
        assert where.any()
        assert np.array_equal(where, (truth["gt_category"] == label) & (truth["gt_human"] == human))


def test_mhp_people_lie_over_each_other_and_keep_their_own_maps(tmp_path: Path) -> None:
    mhpv2(tmp_path)
    truth = read_dataset("mhpv2", tmp_path)[0].truth()
    assert truth["gt_person_map"].shape == (2, 4, 5)
    assert np.unique(truth["gt_person_map"][0]).tolist() == [0, 51]
    assert truth["gt_category"][1].tolist() == [0, 51, 51, 51, 51]
    assert truth["gt_category"][3].tolist() == [0, 51, 52, 52, 52]
    assert truth["gt_human"][3].tolist() == [0, 1, 2, 2, 2]
    assert truth["gt_instance_class"].tolist() == [51, 52] and truth["gt_instance_human"].tolist() == [1, 2]


def test_the_truth_is_read_only_when_asked_for(tmp_path: Path) -> None:
    lip(tmp_path)
    path = tmp_path / "TrainVal_parsing_annotations" / "val_segmentations" / "100034_483681.png"
    path.write_bytes(b"no picture")
    (sample,) = read_dataset("lip", tmp_path)
    with pytest.raises(DatasetError, match=r"100034_483681\.png: not a readable picture"):
        sample.truth()
    path.unlink()
    with pytest.raises(DatasetError, match=r"100034_483681\.png: no such file"):
        sample.truth()
    put(path, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(DatasetError, match="a RGB picture has no label numbers"):
        sample.truth()
    put(path, np.full((4, 5), 30, np.uint8))
    with pytest.raises(DatasetError, match="lip has labels 0 to 19, but here are 30"):
        sample.truth()


def test_what_is_missing_is_named_with_the_places_looked_at(tmp_path: Path) -> None:
    def refused(key: str, reason: str, root: Path = tmp_path, split: str | None = None) -> None:
        with pytest.raises(DatasetError, match=reason):
            read_dataset(key, root, split)

    refused("coco", "no data set 'coco'; known: lip, atr, pascal, cihp, mhpv2")
    refused("lip", "LIP has no split 'test'; known: val, train", split="test")
    refused("lip", "nowhere: no such folder", tmp_path / "nowhere")
    refused("lip", "(?s)LIP: no folder of label maps; looked for.*TrainVal_parsing_annotations/val_segm")
    lip_as_schp_has_it(tmp_path)
    (tmp_path / "val_id.txt").write_text("100034_483681\nanother\nthird\n")
    refused("lip", "LIP val: 2 of 3 listed have no label map: another, third; unpack the archive again")
    put(tmp_path / "val_segmentations" / "another.png", labels(0))
    put(tmp_path / "val_segmentations" / "third.png", labels(0))
    refused("lip", "LIP val: 2 of 3 listed have no photo: another, third")
    assert [sample.image is None for sample in read_dataset("lip", tmp_path, photos=False)] == [
        False,
        True,
        True,
    ]
    (tmp_path / "val_id.txt").write_text("\n")
    refused("lip", r"val_id\.txt: the list is empty")
    (tmp_path / "val_id.txt").unlink()
    refused(
        "lip",
        r"(?s)LIP: no list of the split 'val'; write one stem per line into one of these\n.*val_id\.txt",
    )


def test_files_that_macos_adds_are_no_samples(tmp_path: Path) -> None:
    atr(tmp_path)
    before = [sample.stem for sample in read_dataset("atr", tmp_path, "all")]
    for path in [*tmp_path.rglob("*.png"), *tmp_path.rglob("*.jpg")]:
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    assert [sample.stem for sample in read_dataset("atr", tmp_path, "all")] == before


def test_atr_without_a_list_says_so_and_gives_all_photos_when_asked(tmp_path: Path) -> None:
    atr(tmp_path)
    (tmp_path / "test_id.txt").unlink()
    photo(tmp_path / "humanparsing" / "JPEGImages" / "dataset10k_1.jpg")
    put(tmp_path / "humanparsing" / "SegmentationClassAug" / "dataset10k_1.png", labels(1))
    with pytest.raises(
        DatasetError, match=r"write one stem per line into one of these; or take `split='all'`"
    ):
        read_dataset("atr", tmp_path)
    stems = [sample.stem for sample in read_dataset("atr", tmp_path, "all")]
    assert stems == ["dataset10k_1", "dataset10k_997"]


def test_cihp_without_maps_of_people_still_has_labels(tmp_path: Path) -> None:
    cihp(tmp_path)
    top = tmp_path / "instance-level_human_parsing" / "Validation"
    (top / "Human_ids").rename(top / "elsewhere")
    assert set(read_dataset("cihp", tmp_path)[0].truth()) == {"gt_category"}
    (top / "elsewhere").rename(top / "Human_ids")
    put(top / "Human_ids" / "0000001.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DatasetError, match=r"0000001\.png: shape \(2, 2\), but the label map has \(4, 5\)"):
        read_dataset("cihp", tmp_path)[1].truth()
    (top / "Human_ids" / "0000001.png").unlink()
    with pytest.raises(DatasetError, match="1 of 2 listed have no map of people: 0000001"):
        read_dataset("cihp", tmp_path)


def test_more_part_instances_than_a_byte_counts_are_all_there(tmp_path: Path) -> None:
    top = tmp_path / "LV-MHP-v2"
    lines(top / "list" / "val.txt", "1")
    for which in range(1, 7):
        numbers = np.zeros((6, 50), np.uint8)
        numbers[which - 1] = np.arange(1, 51)
        put(top / "val" / "parsing_annos" / f"1_06_{which:02}.png", numbers)
    data = read_dataset("mhpv2", tmp_path, photos=False)
    assert len(data[0].truth()["gt_instance_class"]) == 300


MAPS = hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 4))


@settings(deadline=None)
@given(category=MAPS, humans=MAPS)
def test_people_split_and_merged_are_the_same_people(category: Map, humans: Map) -> None:
    humans = np.where(category > 0, humans, 0).astype(np.uint8)
    ids = np.unique(humans[humans > 0])
    merged, whose = merge_people(split_people(category, humans))
    assert np.array_equal(merged, np.where(humans > 0, category, 0))
    renumbered = np.concatenate(([0], ids))[whose]
    assert np.array_equal(renumbered, humans)


@settings(deadline=None)
@given(category=MAPS, humans=MAPS)
def test_part_instances_say_what_they_are(category: Map, humans: Map) -> None:
    instances, classes, owners = part_instances(category, humans)
    part = (category > 0) & (humans > 0)
    assert np.array_equal(instances > 0, part)
    assert np.array_equal(classes[instances[part] - 1], category[part])
    assert np.array_equal(owners[instances[part] - 1], humans[part])
    assert sorted(zip(owners, classes, strict=True)) == list(zip(owners, classes, strict=True))
    again = describe_instances(instances, category, humans)
    assert np.array_equal(again[0], classes) and np.array_equal(again[1], owners)
