"""Label files: written whole, read back equal, and clear about what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from humanparse import FormatError, Parsing, formats, get_scheme
from humanparse.formats import Record
from humanparse.schemes import LabelScheme, voc_palette

ONE_FOLDER = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCHEMES = st.sampled_from(
    [get_scheme("lip"), get_scheme("atr"), LabelScheme("custom", ("Background", "Häut"))]
)


def labels_of(scheme: LabelScheme) -> st.SearchStrategy[npt.NDArray[np.uint8]]:
    values = st.one_of(st.integers(0, len(scheme) - 1), st.just(255))
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)
    return hnp.arrays(np.uint8, shapes, elements=values)


@st.composite
def records(draw: st.DrawFn) -> Record:
    scheme = draw(SCHEMES)
    return Record(draw(labels_of(scheme)), scheme, draw(st.sampled_from(["", "tiny-atr"])))


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


@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)))
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@settings(deadline=None)
def test_run_lengths_are_cocos(mask: npt.NDArray[np.bool_]) -> None:
    rle = formats.encode_rle(mask)
    assert np.array_equal(formats.decode_rle(rle), mask)
    packed = coco.frPyObjects(rle, *mask.shape)
    assert np.array_equal(coco.decode(packed).astype(bool), mask)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_a_clear_error(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    noise = np.random.default_rng(0).integers(0, 20, (64, 64)).astype(np.uint8)
    formats.write(Record(noise, get_scheme("lip")), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(FormatError, match=f"labels{suffix}"):
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


def test_a_failed_write_leaves_the_old_file_and_no_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.npz"
    formats.write(Record(some_labels(), get_scheme("lip")), path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(FormatError, match="No space left on device"):
        formats.write(Record(some_labels() * 0, get_scheme("lip")), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
