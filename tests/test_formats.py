"""Label files: written whole, read back equal, and clear about what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from humanparse import FormatError, Parsing, Person, formats, get_scheme
from humanparse.cleaning import Cleaning
from humanparse.formats import Record
from humanparse.schemes import LabelScheme, voc_palette

ONE_FOLDER = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)
SCHEMES = st.sampled_from(
    [get_scheme("lip"), get_scheme("atr"), LabelScheme("custom", ("Background", "Häut"))]
)


def labels_of(scheme: LabelScheme) -> st.SearchStrategy[npt.NDArray[np.uint8]]:
    values = st.one_of(st.integers(0, len(scheme) - 1), st.just(255))
    return hnp.arrays(np.uint8, SHAPES, elements=values)


@st.composite
def records(draw: st.DrawFn) -> Record:
    scheme = draw(SCHEMES)
    return Record(draw(labels_of(scheme)), scheme, draw(st.sampled_from(["", "lite-atr"])))


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json", ".PNG"])
@given(record=records())
@ONE_FOLDER
def test_what_is_written_is_read_back(suffix: str, record: Record, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    formats.write(record, path)
    back = formats.read(path)
    assert np.array_equal(back.labels, record.labels) and back.labels.dtype == np.uint8
    assert (back.scheme, back.model) == (record.scheme, record.model)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def some_labels() -> npt.NDArray[np.uint8]:
    return np.arange(60, dtype=np.uint8).reshape(6, 10) % 20


def test_a_png_is_p_mode_with_the_voc_palette(tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    formats.write(Record(some_labels(), get_scheme("lip")), path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert picture.getpalette() == [value for colour in voc_palette() for value in colour]
        assert np.array_equal(np.array(picture), some_labels())


def test_npz_keeps_confidence_and_logits_and_opens_without_pickle(tmp_path: Path) -> None:
    confidence = np.linspace(0, 1, 60, dtype=np.float16).reshape(6, 10)
    logits = np.random.default_rng(0).standard_normal((20, 3, 4)).astype(np.float32)
    parsing = Parsing(some_labels(), get_scheme("lip"), "schp-lip", confidence, logits)
    assert Parsing.load(parsing.save(tmp_path / "all.npz")) == parsing
    with np.load(tmp_path / "all.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {"labels", "meta", "confidence", "logits"}


def test_a_label_png_of_others_needs_to_be_told_its_scheme(tmp_path: Path) -> None:
    path = tmp_path / "theirs.png"
    Image.fromarray(some_labels()).save(path)
    assert np.array_equal(Parsing.load(path, scheme="lip").labels, some_labels())
    with pytest.raises(FormatError, match="does not say its label scheme"):
        Parsing.load(path)
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(FormatError, match="RGB picture is no label map"):
        Parsing.load(path, scheme="lip")


def test_labels_that_the_scheme_does_not_have_are_refused_with_the_files_name(tmp_path: Path) -> None:
    png, npz, text = (tmp_path / f"theirs{suffix}" for suffix in (".png", ".npz", ".json"))
    Image.fromarray(np.array([[0, 7, 255, 19]], np.uint8)).save(png)
    assert Parsing.load(png, scheme="lip").mask("Face").sum() == 0  # 255 is no statement, in any scheme
    with pytest.raises(FormatError, match=r"theirs\.png: pascal has labels 0 to 6, but here are 7, 19; pass"):
        Parsing.load(png, scheme="pascal")
    meta = {"scheme": "lip", "names": get_scheme("lip").names, "model": ""}
    for labels in (np.zeros((2, 2), np.int64), np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 20, np.uint8)):
        np.savez(npz, labels=labels, meta=np.array(json.dumps(meta)))
        with pytest.raises(FormatError, match=r"theirs\.npz: "):
            formats.read(npz)
    content = formats.described(Record(np.zeros((2, 2), np.uint8), get_scheme("lip")))
    part = {"label": 99, "rle": {"size": [2, 2], "counts": [0, 4]}}
    text.write_text(json.dumps({**content, "parts": [part]}))
    with pytest.raises(FormatError, match=r"theirs\.json: lip has labels 0 to 19, but here are 99"):
        formats.read(text)


@given(
    mask=st.one_of(
        hnp.arrays(np.bool_, SHAPES),
        SHAPES.map(lambda shape: np.zeros(shape, np.bool_)),
        SHAPES.map(lambda shape: np.ones(shape, np.bool_)),
    )
)
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@settings(deadline=None)
def test_run_lengths_are_cocos(mask: npt.NDArray[np.bool_]) -> None:
    rle = formats.encode_rle(mask)
    assert np.array_equal(formats.decode_rle(rle), mask)
    packed = coco.frPyObjects(rle, *mask.shape)
    assert np.array_equal(coco.decode(packed).astype(bool), mask)
    assert packed["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_a_clear_error(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    noise = np.random.default_rng(0).integers(0, 20, (64, 64)).astype(np.uint8)
    formats.write(Record(noise, get_scheme("lip")), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=f"labels{suffix}"):
        formats.read(path)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
@given(damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
@ONE_FOLDER
def test_damaged_bytes_give_labels_or_a_clear_error(
    suffix: str, damage: list[tuple[int, int]], tmp_path: Path
) -> None:
    path = tmp_path / f"labels{suffix}"
    formats.write(Record(some_labels(), get_scheme("lip")), path)
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    path.write_bytes(content)
    try:
        record = formats.read(path)
    except FormatError as error:
        assert f"labels{suffix}" in str(error)
    else:
        assert record.labels.ndim == 2 and record.labels.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"hello", b"[1, 2]", b"<html></html>", b"PK\x03\x04"])
def test_a_file_of_another_kind_is_a_clear_error(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=rf"labels{suffix}: not a readable label file"):
        formats.read(path)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("labels.jpg", "labels"):
        with pytest.raises(FormatError, match=r"use \.png, \.npz, \.json"):
            formats.write(Record(some_labels(), get_scheme("lip")), tmp_path / name)
        with pytest.raises(FormatError, match=r"use \.png, \.npz, \.json"):
            formats.read(tmp_path / name)


def test_a_missing_folder_or_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="check that the folder exists"):
        formats.write(Record(some_labels(), get_scheme("lip")), tmp_path / "nowhere" / "labels.png")
    with pytest.raises(FormatError, match="not a readable label file"):
        formats.read(tmp_path / "nowhere.png")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse to write files beyond `size` bytes, as it does on a full disk."""
    resource = pytest.importorskip("resource", reason="only POSIX can limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_a_failed_write_leaves_the_old_file_and_no_remains(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    formats.write(Record(some_labels(), get_scheme("lip")), path)
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 20, (200, 200)).astype(np.uint8)
    with files_of_at_most(5000), pytest.raises(FormatError, match=rf"cannot write .*labels{suffix}"):
        formats.write(Record(noise, get_scheme("lip")), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_a_folder_in_the_way_stays_and_nothing_is_left_beside_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    path.mkdir()
    with pytest.raises(FormatError, match="cannot write"):
        formats.write(Record(some_labels(), get_scheme("lip")), path)
    with pytest.raises(FormatError, match="not a readable label file"):
        formats.read(path)
    assert list(tmp_path.iterdir()) == [path] and list(path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_labels_without_a_pixel_are_not_written(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"shape \(0, 5\) hold no pixel"):
        formats.write(Record(np.zeros((0, 5), np.uint8), get_scheme("lip")), tmp_path / f"labels{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_encoding_to_bytes_gives_what_is_written_and_refuses_the_rest(tmp_path: Path) -> None:
    parsing = Parsing(some_labels(), get_scheme("lip"), "mine")
    for kind in ("png", "npz", "json"):
        assert parsing.encode(kind) == parsing.save(tmp_path / f"labels.{kind}").read_bytes()
    with pytest.raises(
        FormatError, match=r"no format 'gif' here; use png, npz, json, overlay, coco, labelme$"
    ):
        parsing.encode("gif")
    with pytest.raises(FormatError, match="no format 'cihp' here"):  # several files
        parsing.encode("cihp")
    with pytest.raises(FormatError, match="nothing to encode"):
        Parsing(np.zeros((0, 5), np.uint8), get_scheme("lip")).encode("png")


def group() -> Parsing:
    """Two people with all that a parsing can hold but logits."""
    labels, scheme = np.tile(some_labels(), (2, 2)), get_scheme("cihp")
    left = np.zeros_like(labels, dtype=np.bool_)
    left[:, :9] = True
    people = tuple(
        Person.cut(number, None, 0.5, labels, mask & (labels > 0), scheme, {"Hair": 0.25 * number})
        for number, mask in enumerate((left, ~left), 1)
    )
    confidence = np.linspace(0, 1, labels.size, dtype=np.float16).reshape(labels.shape)
    return Parsing(labels, scheme, "mine", confidence, people=people, cleaning=(Cleaning(fill=9),))


@pytest.mark.parametrize("one", formats.FORMATS.values(), ids=list(formats.FORMATS))
def test_every_format_is_exported_encoded_and_read_back_as_the_table_says(
    one: formats.Format, tmp_path: Path
) -> None:
    parsing, photo = group(), tmp_path / "group.jpg"
    Image.new("RGB", parsing.size[::-1], "grey").save(photo)
    files = parsing.export(one.kind, tmp_path, photo=photo)
    assert files and {str(tmp_path / name) for name in one.names("group")} <= {str(file) for file in files}
    assert all(file.stat().st_size for file in files)
    assert one.one_file == (one.several is None) == bool(one.ending)
    if one.one_file:
        assert parsing.encode(one.kind, photo=photo) == files[0].read_bytes()
    if one.reader is not None:
        back = Parsing.load(files[0])
        assert parsing.save(tmp_path / f"again{one.ending}").read_bytes() == files[0].read_bytes()
        same = replace(parsing, people=back.people, confidence=parsing.confidence if one.confidence else None)
        assert back == same and back.people in ((), parsing.people)
    if one.shows_photo:
        with pytest.raises(FormatError, match="photo="):
            parsing.encode(one.kind)
    if not one.needs_people:
        assert replace(parsing, people=()).export(one.kind, tmp_path, photo=photo) == files


def test_run_lengths_of_a_box_are_those_of_the_whole_picture() -> None:
    mask = np.zeros((7, 9), np.bool_)
    for box in ((2, 1, 6, 5), (0, 0, 9, 7), (3, 0, 9, 7), (4, 2, 4, 6), (0, 0, 0, 0)):
        x0, y0, x1, y1 = box
        mask[:] = False
        mask[y0:y1, x0:x1] = np.random.default_rng(x0).random((y1 - y0, x1 - x0)) < 0.5
        rle = formats.encode_rle(mask[y0:y1, x0:x1], box, mask.shape)
        assert rle == formats.encode_rle(mask)
        assert np.array_equal(formats.decode_rle(rle, box), mask[y0:y1, x0:x1])
    with pytest.raises(ValueError, match="reaches beyond its box"):
        formats.decode_rle(formats.encode_rle(np.ones((4, 4), np.bool_)), (1, 1, 3, 3))
    for counts in ([3], [20, -3], [9, 9]):
        with pytest.raises(ValueError, match="do not make up a mask of 4x4"):
            formats.decode_rle({"size": [4, 4], "counts": counts})
