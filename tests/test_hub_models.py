"""SegFormers that the table of models does not have: in repositories of the hub, in folders of one's own."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Run, runner
from http_server import COMMIT, Answer, Server
from PIL import Image
from safetensors.torch import load_file

from humanparse import (
    ModelError,
    ModelSpec,
    Parser,
    ParserOptions,
    Parsing,
    UnreachableError,
    WeightsError,
    bulk,
    hub,
    model_info,
)

from hub_folders import MADE_UP, NANO, assert_same_labels, noise, processor, save, segformer  # isort: skip

REPO = "someone/parsing"
LATER = "b" * 40
OTHER = ("backdrop", "hat", "shoe")


@pytest.fixture(scope="module")
def network() -> Any:
    return segformer(NANO, MADE_UP, seed=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Path:
    """A user's fine-tuned model: 5 labels of their own, two of them left and right."""
    return save(tmp_path_factory.mktemp("saved") / "gloves", network, processor(160, 96))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    copy = tmp_path / "gloves"
    copy.mkdir()
    for path in saved.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    for name in ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    return tmp_path / "home"


def publish(server: Server, folder: Path, commit: str = COMMIT, revision: str = "main") -> None:
    """Hold a folder as the hub does: under the revision's name, and under its commit's."""
    for path in folder.iterdir():
        for name in (revision, commit):
            server.hugging_face(REPO, path.name, path.read_bytes(), revision=name, commit=commit)


def change(path: Path, **values: Any) -> None:
    """Change entries of a JSON file; None removes one."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **values}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}), encoding="utf-8")


def as_bin(folder: Path, state: Any | None = None) -> None:
    """Replace `model.safetensors` by the older `pytorch_model.bin`."""
    safe = folder / "model.safetensors"
    torch.save(load_file(safe) if state is None else state, folder / "pytorch_model.bin")
    safe.unlink()


class Code:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('code in a checkpoint was run')",)


# --- folders


def test_a_folder_is_a_model_with_its_own_labels_input_and_sides(folder: Path, network: Any) -> None:
    parser = Parser(folder, device="cpu")
    assert parser.scheme.names == MADE_UP and parser.scheme.flip_pairs == ((1, 2),)
    assert parser.scheme.key == "gloves" and parser.spec.input.size == (160, 96)
    for photo in (noise(300, 217), noise(61, 47)):
        inputs = processor(160, 96)(images=Image.fromarray(photo), return_tensors="pt")
        with torch.inference_mode():
            logits = network(**inputs).logits
        large = torch.nn.functional.interpolate(logits, photo.shape[:2], mode="bilinear")[0]
        found = parser.predict(photo, keep_logits=True)
        assert np.abs(found.logits - logits[0].numpy()).max() < 1e-4
        assert_same_labels(found.labels, large, large.argmax(0).numpy())
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip


def test_mirroring_swaps_the_labels_that_differ_by_side(folder: Path, network: Any) -> None:
    photo = noise(160, 96)
    inputs = processor(160, 96)(images=Image.fromarray(photo), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        plain, mirrored = network(inputs).logits, network(inputs.flip(3)).logits.flip(3)
    expected = (plain + mirrored[:, [0, 2, 1, 3, 4]]) / 2
    found = Parser(folder, device="cpu", flip=True).predict(photo, keep_logits=True)
    assert np.abs(found.logits - expected[0].numpy()).max() < 1e-4


def test_labels_of_a_known_scheme_are_that_scheme(tmp_path: Path) -> None:
    names = [name.lower().replace("-", "_") for name in model_info("segformer-b2-clothes").scheme.names]
    made = save(tmp_path, segformer(NANO, names))
    assert (
        model_info(made).scheme.key == "atr"
        and Parser(made, device="cpu").predict(noise(40, 40)).remap("lip", approximate=True).scheme.key
        == "lip"
    )


def test_an_older_bin_gives_the_same_and_nothing_is_written_beside_it(folder: Path) -> None:
    expected = Parser(folder, device="cpu").predict(noise(90, 70))
    as_bin(folder)
    assert np.array_equal(Parser(folder, device="cpu").predict(noise(90, 70)).labels, expected.labels)
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "pytorch_model.bin", "preprocessor_config.json",
    }  # fmt: skip


def test_a_bin_with_code_in_it_is_refused_and_nothing_is_run(folder: Path) -> None:
    as_bin(folder, {"decode_head.classifier.weight": torch.zeros(1), "x": Code()})
    with pytest.raises(WeightsError, match="could run code") as caught:
        Parser(folder, device="cpu")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"model_type": "mask2former"}, "'mask2former' model; only segformer"),
        ("config.json", {"architectures": ["SegformerForImageClassification"]}, "does not label pixels"),
        ("config.json", {"hidden_act": "relu"}, "hidden_act='relu'; only 'gelu' is supported"),
        ("config.json", {"num_channels": 4}, "num_channels=4; only 3 is supported"),
        ("config.json", {"num_encoder_blocks": 3}, "num_encoder_blocks=3"),
        ("config.json", {"reshape_last_stage": False}, "reshape_last_stage=False"),
        ("config.json", {"auto_map": {"AutoModel": "own.Model"}}, "auto_map="),
        ("config.json", {"quantization_config": {"bits": 4}}, "quantization_config="),
        ("config.json", {"id2label": None}, "id2label in config.json must name"),
        ("config.json", {"id2label": {"0": "a", "2": "b"}}, "numbered from 0"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 512}}, "size={'shortest_edge': 512}"),
        ("preprocessor_config.json", {"do_resize": False}, "do_resize=False"),
        ("preprocessor_config.json", {"do_center_crop": True}, "do_center_crop=True"),
        ("preprocessor_config.json", {"resample": 5}, "resample=5; only 1 (Lanczos)"),
        ("preprocessor_config.json", {"rescale_factor": 1 / 127.5}, "rescale_factor="),
        ("preprocessor_config.json", {"image_processor_type": "CLIPImageProcessor"}, "by a CLIPImageProc"),
    ],
)
def test_what_we_do_not_have_is_refused_by_name(
    file: str, values: dict[str, Any], message: str, folder: Path
) -> None:
    change(folder / file, **values)
    with pytest.raises(ModelError) as caught:
        model_info(folder)
    assert message in str(caught.value) and str(folder) in str(caught.value)


def test_other_preprocessing_is_followed(folder: Path) -> None:
    file = folder / "preprocessor_config.json"
    change(file, size=224, resample=1, image_mean=0.5, do_rescale=False, image_processor_type=None)
    spec = model_info(folder)
    assert isinstance(spec, ModelSpec)
    assert (spec.input.size, spec.input.interpolation) == ((224, 224), "pil-lanczos")
    assert (spec.input.mean, spec.input.scale) == ((0.5, 0.5, 0.5), "0-255")
    change(file, do_normalize=False, resample=3)
    spec = model_info(folder)
    assert isinstance(spec, ModelSpec)
    assert (spec.input.mean, spec.input.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("config.json", "no config.json in this folder"),
        (
            "preprocessor_config.json",
            "no preprocessor_config.json in this folder, which would say how",
        ),
        ("model.safetensors", "no model.safetensors or pytorch_model.bin in this folder"),
    ],
)
def test_a_file_that_is_not_there_is_named(gone: str, message: str, folder: Path) -> None:
    (folder / gone).unlink()
    with pytest.raises(ModelError, match=message):
        model_info(folder)


def test_folders_that_are_none_and_files_that_hold_no_json_are_told(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no such folder; write a .* repository as hf:owner/name"):
        model_info("someone/parsing")
    with pytest.raises(ModelError, match=r"no model is called 'gloves'.*hf:owner/name"):
        model_info("gloves")
    (folder / "config.json").write_text("<html>")
    with pytest.raises(ModelError, match=r"config.json is not readable JSON"):
        model_info(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"config.json holds no JSON object"):
        model_info(folder)
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes())
    (folder / "config.json").write_text('{"model_type": "segformer"}')
    with pytest.raises(ModelError, match="its weights are in several files"):
        model_info(folder)


@pytest.mark.parametrize(
    ("card", "commercial", "weights"),
    [
        ("---\nlicense: mit\n---\n# x", "unclear", "mit, as"),
        ("---\nlicense: mit\nbase_model: nvidia/mit-b0\n---\n", "no", "mit, as"),
        ("---\nlicense: cc-by-nc-4.0\n---\n", "no", "cc-by-nc-4.0"),
        ("---\nlicense: other\nlicense_name: house\nbase_model:\n- a/b\n---\n", "unclear", "house"),
        ("# no head", "unclear", "unknown"),
    ],
)
def test_the_licence_comes_from_the_model_card(
    card: str, commercial: str, weights: str, folder: Path
) -> None:
    (folder / "README.md").write_text(card)
    licence = model_info(folder).licence
    assert licence.commercial == commercial and licence.weights.startswith(weights) and licence.reason


# --- repositories


def test_a_repository_is_pinned_on_first_use_and_needs_no_network_then(
    server: Server, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    publish(server, folder)
    with pytest.warns(UserWarning, match=f"main is commit {COMMIT}, which is used from now on"):
        parser = Parser(f"hf:{REPO}", device="cpu")
    expected = Parser(folder, device="cpu").predict(noise(100, 80))
    assert np.array_equal(parser.predict(noise(100, 80)).labels, expected.labels)
    assert isinstance(parser.spec, ModelSpec) and parser.spec.revision == COMMIT
    assert parser.spec.licence.weights.startswith("apache-2.0")
    assert parser.spec.file.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert parser.weights["network"].is_relative_to(home / "models" / "hf" / "someone" / "parsing" / COMMIT)
    change(folder / "config.json", id2label=dict(enumerate(OTHER)))  # main goes on
    publish(server, folder, commit=LATER)
    before = server.count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Parser(f"hf:{REPO}", device="cpu")
    assert again.scheme.names == MADE_UP and again.spec == parser.spec and server.count() == before
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert Parser(f"hf:{REPO}", device="cpu").scheme.names == MADE_UP


def test_revisions_are_told_apart(server: Server, home: Path, folder: Path) -> None:
    publish(server, folder)
    change(folder / "config.json", id2label=dict(enumerate(MADE_UP[::-1])))
    publish(server, folder, commit=LATER, revision="refs%2Fpr%2F1")
    with pytest.warns(UserWarning, match="refs/pr/1 is commit"):
        branch = hub.find_network(f"hf:{REPO}@refs/pr/1")
    assert branch.revision == LATER and branch.scheme.names == MADE_UP[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a commit needs no pinning
        commit = hub.find_network(f"hf:{REPO}@{COMMIT}")
    assert commit.revision == COMMIT and commit.scheme.names == MADE_UP
    assert hub.place(branch) != hub.place(commit)


@pytest.mark.filterwarnings("ignore:.*used from now on")
def test_a_recorded_file_that_changed_is_refused(server: Server, home: Path, folder: Path) -> None:
    publish(server, folder)
    hub.find_model(f"hf:{REPO}")
    change(home / "models" / "hf" / "someone" / "parsing" / COMMIT / "config.json", hidden_act="relu")
    with pytest.raises(WeightsError, match=r"config.json is not the file recorded on .* delete"):
        hub.find_model(f"hf:{REPO}")
    (home / "models" / "hf" / "someone" / "parsing" / "main.json").write_text("{")
    with pytest.raises(WeightsError, match=r"main.json is damaged"):
        hub.find_model(f"hf:{REPO}")


@pytest.mark.filterwarnings("ignore:.*used from now on")
def test_weights_that_are_not_those_on_record_are_refused(server: Server, home: Path, folder: Path) -> None:
    publish(server, folder)
    spec = hub.find_network(f"hf:{REPO}")
    server.hugging_face(REPO, "model.safetensors", b"other", revision=COMMIT)
    with pytest.raises(WeightsError, match="expected"):
        hub.fetch(spec)


@pytest.mark.filterwarnings("ignore:.*used from now on")
def test_a_repository_with_the_older_bin_alone_is_read(server: Server, home: Path, folder: Path) -> None:
    expected = Parser(folder, device="cpu").predict(noise(90, 70))
    as_bin(folder)
    publish(server, folder)
    parser = Parser(f"hf:{REPO}", device="cpu")
    assert parser.weights["network"].name == "pytorch_model.bin"
    assert np.array_equal(parser.predict(noise(90, 70)).labels, expected.labels)
    code = io.BytesIO()
    torch.save({"x": Code()}, code)
    (folder / "pytorch_model.bin").write_bytes(code.getvalue())
    publish(server, folder, commit=LATER, revision="worse")
    with pytest.raises(WeightsError, match="could run code"):
        Parser(f"hf:{REPO}@worse", device="cpu")


@pytest.mark.parametrize("gone", ["config.json", "preprocessor_config.json"])
def test_a_repository_that_lacks_a_file_says_which(
    gone: str, server: Server, home: Path, folder: Path
) -> None:
    (folder / gone).unlink()
    publish(server, folder)
    with pytest.raises(ModelError, match=f"hf:{REPO}: no {gone} in this repository"):
        hub.find_model(f"hf:{REPO}")
    assert not list(home.rglob("*.json"))


def test_a_repository_without_weights_in_one_file_says_so(server: Server, home: Path, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    publish(server, folder)
    with pytest.raises(ModelError, match=r"no model.safetensors or pytorch_model.bin in this repository"):
        hub.find_model(f"hf:{REPO}")
    (folder / "model.safetensors.index.json").write_text("{}")
    publish(server, folder)
    with pytest.raises(ModelError, match="its weights are in several files"):
        hub.find_model(f"hf:{REPO}")


def test_names_that_name_no_repository_and_hubs_that_do_not_answer_are_told(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("hf:", "hf:parsing", "hf:a/b/c", "hf:a/b@", "hf:a/b c"):
        with pytest.raises(ModelError, match="write hf:owner/name"):
            hub.find_model(wrong)
    with pytest.raises(UnreachableError, match="the network is off: not in the Hugging Face cache"):
        hub.find_model(f"hf:{REPO}", offline=True)
    server.answer(f"/{REPO}/resolve/main/config.json", Answer(status=401))
    with pytest.raises(UnreachableError, match="private or gated: log in"):
        hub.find_model(f"hf:{REPO}")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="the hub gave no answer"):
        hub.find_model(f"hf:{REPO}")


@pytest.mark.filterwarnings("ignore:.*used from now on")
def test_offline_the_hugging_face_cache_is_enough(
    server: Server, home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    publish(server, folder)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        hf_hub_download(REPO, name, endpoint=server.url)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    parser = Parser(f"hf:{REPO}", device="cpu", offline=True)
    assert parser.scheme.names == MADE_UP and isinstance(parser.spec, ModelSpec)
    assert parser.spec.revision == COMMIT


# --- everything that takes a model's name


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for number in range(2):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(noise(80 + number, 64, number)).save(tmp_path / "photos" / f"{number}.png")
    return runner(tmp_path, monkeypatch, capsys)


def test_a_folder_goes_through_predict_info_and_bench(run: Run, folder: Path) -> None:
    assert run("predict", "photos", "-o", "out", "-m", folder, "--flip", "--npz").status == 0
    expected = Parser(folder, device="cpu", flip=True).predict("photos/0.png")
    found = Parsing.load("out/0.npz")
    assert np.array_equal(found.labels, expected.labels) and found.scheme.names == MADE_UP
    said = run("info", folder).out
    assert "gloves: 0 backdrop, 1 left glove" in said and "unclear: its model card" in said
    assert json.loads(run("info", folder, "--json").out)["scheme"]["names"] == list(MADE_UP)
    assert run("bench", folder, "--runs", "1", "--size", "64x64").status == 0


def test_a_folder_goes_through_export(run: Run, folder: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs what was exported, not installed")
    assert run("export", folder, "--to", "onnx", "-o", "gloves.onnx").status == 0
    metadata = onnxruntime.InferenceSession("gloves.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == list(MADE_UP) and metadata["scheme"] == "gloves"
    assert json.loads(metadata["input"])["interpolation"] == "pil-bilinear"
    made = Parser(folder, runtime="onnxruntime").predict("photos/0.png", keep_logits=True)
    plain = Parser(folder, device="cpu").predict("photos/0.png", keep_logits=True)
    assert np.abs(made.logits - plain.logits).max() < 1e-4


def test_a_folder_goes_through_eval_on_photos_of_ones_own(run: Run, folder: Path) -> None:
    Path("own/images").mkdir(parents=True)
    Path("own/labels").mkdir()
    parser = Parser(folder, device="cpu")
    for photo in sorted(Path("photos").iterdir()):
        labels = parser.predict(photo).labels.copy()
        labels[:8] = (labels[:8] + 1) % 5
        (Path("own/images") / photo.name).write_bytes(photo.read_bytes())
        Image.fromarray(labels).save(Path("own/labels") / photo.name)
    done = run("eval", "--dataset", "own", "--root", "own", "-m", folder, "-o", "scores.json")
    assert done.status == 0, done.err
    scores = json.loads(Path("scores.json").read_text())
    assert scores["labels"] == list(MADE_UP) and scores["photos"] == 2
    right = 1 - 8 * 64 * 2 / ((80 + 81) * 64)
    assert abs(scores["semantic"]["pixel_accuracy"] - right) < 1e-6
    unknown = run("eval", "--dataset", "own", "--root", "own", "--predictions", "out")
    assert unknown.status == 1 and "the label scheme is that of the model" in unknown.err
    other = run("eval", "--dataset", "atr", "--root", "own", "-m", folder)
    assert other.status == 1


@pytest.mark.filterwarnings("ignore:.*used from now on")
def test_the_journal_of_label_keeps_the_revision(
    server: Server, home: Path, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(home))
    publish(server, folder)
    assert run("label", "photos", "-o", "out", "-m", f"hf:{REPO}").status == 0
    _, _, settings = bulk.status(Path("out"))
    assert settings["model"] == f"hf:{REPO}" and settings["revision"] == COMMIT
    expected = Parser(folder, device="cpu").predict("photos/1.png")
    assert np.array_equal(Parsing.load("out/1.png").labels, expected.labels)
    (home / "models" / "hf" / "someone" / "parsing" / "main.json").unlink()
    publish(server, folder, commit=LATER)
    moved = run("label", "photos", "-o", "out", "-m", f"hf:{REPO}", "--resume")
    assert moved.status == 1 and "revision" in moved.err


def test_a_folder_is_served(folder: Path, tmp_path: Path) -> None:
    from serving import ServeSettings, serving

    with serving(ServeSettings((ParserOptions(str(folder), device="cpu"),)), {}) as served:
        listed = served.client.get("/v1/models").json()
        assert listed["default"] == str(folder) and listed["models"][0]["classes"] == 5
        png = io.BytesIO()
        Image.fromarray(noise(90, 70)).save(png, "PNG")
        answer = served.post(png.getvalue(), format="png")
        found = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(found, Parser(folder, device="cpu").predict(noise(90, 70)).labels)


def test_a_record_of_a_folder_survives_pickling(folder: Path) -> None:
    spec = model_info(folder)
    assert pickle.loads(pickle.dumps(spec)) == spec
