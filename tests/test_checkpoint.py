"""Checkpoints in every published form, hostile and broken ones."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from humanparse import WeightsError, checkpoint, models, registry

SPEC = registry.get("lite-atr")
SCHP = registry.get("schp-lip")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A whole state of the small network, BatchNorm counters and all."""
    torch.manual_seed(0)
    return models.build(SPEC).state_dict()


def expected(spec: registry.ModelSpec) -> dict[str, Tensor]:
    with torch.device("meta"):
        return models.build(spec).state_dict()


PREFIXES = {
    "module": "module.",
    "compiled": "_orig_mod.",
    "lightning": "model.",
    "twice": "module.module.",
    "all": "model.module._orig_mod.",
}


def wrap(state: dict[str, Tensor], form: str) -> Any:
    words = form.split("+")
    prefix = next((PREFIXES[word] for word in words if word in PREFIXES), "")
    renamed: dict[str, Any] = {f"{prefix}{key}": value for key, value in state.items()}
    if "uncounted" in form:
        renamed = {key: value for key, value in renamed.items() if not key.endswith("num_batches_tracked")}
    for key in ("state_dict", "model", "ema", "model_state_dict", "net"):
        if key in words:
            return {key: renamed, "epoch": 7, "optimizer": {"state": {}}}
    return renamed


FORMS = [
    *("flat", "flat+module", "state_dict", "state_dict+module", "model+module", "flat+uncounted"),
    *("flat+compiled", "flat+lightning", "flat+twice", "ema+all", "model_state_dict", "net+compiled"),
]


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_gives_the_same_tensors(
    container: str, form: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "weights.bin"  # the suffix says nothing
    content = wrap(state, form)
    if container == "safetensors":
        save_file(next((c for c in content.values() if isinstance(c, dict) and len(c) > 1), content), file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=container == "zip")
    loaded = checkpoint.load(file)
    checkpoint.check(loaded, expected(SPEC), SPEC, file.name)
    assert set(loaded) == {key for key in state if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_half_precision_is_read_as_float32(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = tmp_path / "half.safetensors"
    save_file({"a": torch.tensor([0.5], dtype=torch.float16)}, file)
    assert checkpoint.load(file)["a"].dtype == torch.float32


class Hostile:
    """Makes a file when it is unpickled with code allowed."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_never_run(zipped: bool, tmp_path: Path) -> None:
    marker, file = tmp_path / "was-run", tmp_path / "hostile.pth"
    content = {"state_dict": {"a": torch.zeros(2), "b": Hostile(marker)}}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"hostile\.pth.*other than tensors: \w+\.mkdir, .*could run code"):
        checkpoint.load(file)
    assert not marker.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("container", ["pickle", "safetensors"])
def test_values_that_are_no_numbers_are_refused_by_name(container: str, value: float, tmp_path: Path) -> None:
    file = tmp_path / "bad.pth"
    content = {"fine": torch.zeros(3), "layer.weight": torch.tensor([1.0, value])}
    (save_file if container == "safetensors" else torch.save)(content, file)
    with pytest.raises(WeightsError, match=r"layer\.weight holds NaN or Inf"):
        checkpoint.load(file)


def test_a_wrong_number_of_classes_names_the_model_that_fits() -> None:
    with pytest.raises(WeightsError, match=r"has 18 classes, but schp-lip has 20 \(lip\); use schp-atr"):
        checkpoint.check(expected(registry.get("schp-atr")), expected(SCHP), SCHP, "x.pth")


def test_a_number_of_classes_that_no_model_has_is_named_alone() -> None:
    other = {
        key: torch.zeros(23, *value.shape[1:]) if value.shape[:1] == (20,) else value
        for key, value in expected(SCHP).items()
    }
    with pytest.raises(WeightsError, match=r"x\.pth has 23 classes, but schp-lip has 20 \(lip\)$"):
        checkpoint.check(other, expected(SCHP), SCHP, "x.pth")


def test_the_original_has_603_tensors_and_a_few_wrong_ones_are_listed() -> None:
    wanted = expected(SCHP)
    assert len(wanted) == 603
    given = dict(wanted)
    del given["bn1.weight"]
    given["extra.weight"] = torch.zeros(1)
    given["conv1.weight"] = torch.zeros(64, 3, 7, 7)
    with pytest.raises(WeightsError) as caught:
        checkpoint.check(given, wanted, SCHP, "x.pth")
    message = str(caught.value)
    assert "missing (1):\n    bn1.weight" in message
    assert "unexpected (1):\n    extra.weight" in message
    assert "conv1.weight (64, 3, 7, 7), expected (64, 3, 3, 3)" in message


def test_long_lists_of_keys_are_cut_short() -> None:
    with pytest.raises(WeightsError, match=r"missing \(603\)(.|\n)*and 591 more"):
        checkpoint.check({}, expected(SCHP), SCHP, "x.pth")


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error(
    container: str, share: float, state: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "cut.pth"
    if container == "safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=container == "zip")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(WeightsError, match=r"cut\.pth"):
        checkpoint.load(file)


@pytest.mark.parametrize("zipped", [True, False])
@given(damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_give_tensors_or_a_clear_error(
    zipped: bool, damage: list[tuple[int, int]], tmp_path: Path
) -> None:
    file = tmp_path / "damaged.pth"
    state = {"module.a.weight": torch.ones(3, 4), "module.b.bias": torch.zeros(5)}
    torch.save({"state_dict": state}, file, _use_new_zipfile_serialization=zipped)
    content = bytearray(file.read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    file.write_bytes(content)
    try:
        loaded = checkpoint.load(file)
    except WeightsError as error:
        assert "damaged.pth" in str(error)
    else:
        assert all(isinstance(value, Tensor) for value in loaded.values())


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, on sparse tensors
@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.zeros(3, device="meta"),
        lambda: torch.zeros(3, dtype=torch.complex64),
        lambda: torch.nn.Linear(2, 2).state_dict(),
        lambda: None,
    ],
    ids=["sparse", "csr", "meta", "complex", "dict", "none"],
)
def test_entries_that_are_no_plain_tensors_are_listed(odd: Callable[[], Any], tmp_path: Path) -> None:
    file = tmp_path / "odd.pth"
    torch.save({"fine.weight": torch.zeros(2), "layer.odd": odd()}, file)
    with pytest.raises(WeightsError, match=r"odd\.pth: .*not plain tensors\n.*\(1\):\n    layer\.odd\n$"):
        checkpoint.load(file)


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return content.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 267445237\n"
IMPOSTORS = {
    "empty": (b"", "is empty"),
    "text": (b"hello, I am a text file\n" * 20, "is a text file"),
    "page": (b"<!DOCTYPE html><html></html>", "is a web page instead of a file"),
    "pointer": (POINTER, "is a Git LFS pointer.*git lfs pull"),
    "gzip": (gzip.compress(b"x" * 1000), "is a gzip archive; unpack it"),
    "zip": (zipped("a.txt", "b.txt"), r"is a zip archive of other files \(a.txt, b.txt\)"),
    "cut zip": (zipped("archive/data.pkl")[:90], "is cut off after 90 bytes"),
    "tar": (tarred(), "is a tar archive"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a picture"),
    "graph": (b"\x08\x07\x12\x07pytorch", "is an ONNX graph, not a checkpoint"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin", ".onnx"])
@pytest.mark.parametrize("kind", IMPOSTORS)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(kind: str, suffix: str, tmp_path: Path) -> None:
    content, told = IMPOSTORS[kind]
    file = (tmp_path / "weights").with_suffix(suffix)
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"weights\{suffix} {told}") as caught:
        checkpoint.load(file)
    assert "weights_only" not in str(caught.value)


def test_what_is_left_of_a_file_never_advises_to_allow_code(tmp_path: Path) -> None:
    whole, file = tmp_path / "whole.pth", tmp_path / "cut.pth"
    for zipped_form in (True, False):
        torch.save({"a": torch.randn(500)}, whole, _use_new_zipfile_serialization=zipped_form)
        content = whole.read_bytes()
        for length in range(1, len(content), 97):
            file.write_bytes(content[:length])
            with pytest.raises(WeightsError, match=r"cut\.pth") as caught:
                checkpoint.load(file)
            assert "weights_only" not in str(caught.value) and "torch.load" not in str(caught.value)


def test_numbers_and_strings_beside_tensors_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "beside.pth"
    torch.save({"a.weight": torch.ones(2), "epoch": 3, "lr": 0.1, "arch": "b2", "best": True}, file)
    assert set(checkpoint.load(file)) == {"a.weight"}


def test_of_several_containers_the_first_is_taken_and_told(tmp_path: Path) -> None:
    file = tmp_path / "both.pth"
    torch.save({"ema": {"a": torch.zeros(2)}, "model": {"a": torch.ones(2)}}, file)
    with pytest.warns(UserWarning, match="holds model and ema; model is used"):
        assert torch.equal(checkpoint.load(file)["a"], torch.ones(2))


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": "text"}, {"state_dict": {"a": 3}}, torch.zeros(3)])
def test_content_that_is_no_state_dict_is_an_error(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "odd.pth"
    torch.save(content, file)
    with pytest.raises(WeightsError, match=r"odd\.pth"):
        checkpoint.load(file)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path, fault in ((tmp_path / "nowhere.pth", "no such file"), (tmp_path, "is a folder, not a file")):
        with pytest.raises(WeightsError, match=fault):
            checkpoint.load(path)


def test_saving_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    shared = torch.zeros(4)
    with pytest.raises(WeightsError, match="cannot write"):
        checkpoint.save({"a": torch.zeros(2)}, tmp_path / "no-folder" / "x.safetensors", {})
    with pytest.raises(WeightsError, match="cannot write"):
        checkpoint.save({"a": shared, "b": shared[1:]}, tmp_path / "x.safetensors", {})
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_a_whole_file_by_a_whole_file(tmp_path: Path) -> None:
    path, shared = tmp_path / "x.safetensors", torch.zeros(4)
    checkpoint.save({"a": torch.ones(2)}, path, {"made": "first"})
    with pytest.raises(WeightsError, match="cannot write"):
        checkpoint.save({"a": shared, "b": shared[1:]}, path, {})
    assert torch.equal(checkpoint.load(path)["a"], torch.ones(2))
    checkpoint.save({"a": torch.zeros(2)}, path, {"made": "second"})
    assert torch.equal(checkpoint.load(path)["a"], torch.zeros(2))
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"made": "second"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WeightsError, match="cannot write"):
            checkpoint.save({"a": torch.zeros(2)}, tmp_path / "x.safetensors", {})
    finally:
        tmp_path.chmod(0o700)


def test_without_room_for_the_copy_the_original_is_used(tmp_path: Path) -> None:
    file, sha256 = tmp_path / "published.pth", "ab" * 32
    torch.save({"a": torch.ones(2)}, file)
    (tmp_path / f"published.{sha256[:16]}.safetensors").mkdir()  # the copy cannot take its name
    with pytest.warns(UserWarning, match="no converted copy was written"):
        assert torch.equal(checkpoint.load_converted(file, sha256)["a"], torch.ones(2))


def test_the_converted_copy_is_made_once_and_made_again_when_damaged(tmp_path: Path) -> None:
    file, sha256 = tmp_path / "published.pth", "ab" * 32
    torch.save({"module.a": torch.randn(300, 100), "module.b": torch.zeros(3)}, file)
    published = file.read_bytes()
    first = checkpoint.load_converted(file, sha256)
    copy = tmp_path / f"published.{sha256[:16]}.safetensors"
    assert copy.is_file()
    file.write_bytes(b"no checkpoint any more")
    second = checkpoint.load_converted(file, sha256)
    file.write_bytes(published)
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    copy.write_bytes(copy.read_bytes()[:100_000])
    with pytest.warns(UserWarning, match="copy is made again"):
        third = checkpoint.load_converted(file, sha256)
    assert third.keys() == first.keys() and all(torch.equal(first[key], third[key]) for key in first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint.load_converted(file, sha256)


def test_a_copy_made_of_another_download_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "published.pth"
    torch.save({"a": torch.zeros(2)}, file)
    checkpoint.load_converted(file, "ab" * 32)
    torch.save({"a": torch.ones(2)}, file)
    assert torch.equal(checkpoint.load_converted(file, "cd" * 32)["a"], torch.ones(2))


def test_safetensors_are_read_in_place_without_a_copy(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    save_file({"a": torch.ones(2)}, file)
    assert torch.equal(checkpoint.load_converted(file, "ab" * 32)["a"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [file]


FAMILY_FILES = {
    "schp-lip": "SCHP file .ResNet-101, 20 classes.",
    "ce2p-lip": "CE2P v2 file .ResNet-101, 20 classes.",
    "ce2p-v1-lip": "CE2P v1 or M-CE2P file .ResNet-101, 20 classes.",
    "mce2p-mhpv2-gt": "CE2P v1 or M-CE2P file .ResNet-101, 59 classes.",
    "ssseg-ce2p-r50-os8-atr": "SSSegmentation CE2P file .ResNet-50, 18 classes.",
    "ssseg-upernet-r101-os16-ade20k": "SSSegmentation UPerNet file .ResNet-101, 150 classes.",
    "smp-r50-mhpv2": "SMP file .ResNet-50.;",
    "uniparser-r50-mhpv2": "UniParser file .ResNet-50.;",
    "lite-atr": "Lite file;",
}


@pytest.mark.parametrize("name", FAMILY_FILES)
def test_a_file_of_another_family_is_recognised_and_its_models_are_named(name: str) -> None:
    state = expected(registry.get(name))
    wanted = registry.get("ssseg-ce2p-r101-os8-lip")
    with pytest.raises(WeightsError, match=FAMILY_FILES[name]) as caught:
        checkpoint.check(state, expected(wanted), wanted, "file.pth")
    names = str(caught.value).partition("use one of: ")[2].split(", ")
    assert name in names and all(registry.get(n).family == registry.get(name).family for n in names)
    assert all(len(registry.get(n).scheme) == len(registry.get(name).scheme) for n in names)


def test_the_models_own_file_with_a_key_too_few_is_not_called_another_family() -> None:
    spec = registry.get("ce2p-lip")
    state = {key: value for key, value in expected(spec).items() if key != "layer1.0.conv1.weight"}
    with pytest.raises(WeightsError, match=r"missing \(1\):\n    layer1\.0\.conv1\.weight"):
        checkpoint.check(state, expected(spec), spec, "file.pth")


def test_a_file_from_before_the_published_network_is_refused_by_its_age() -> None:
    spec = registry.get("ssseg-ce2p-r101-os8-lip")
    state = {**expected(spec), "lateral_ppm_layer.0.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match="before December 2020"):
        checkpoint.check(state, expected(spec), spec, "file.pth")
