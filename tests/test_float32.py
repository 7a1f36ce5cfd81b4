"""Float32 is exact, whatever the process, or another thread of it, has torch do."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from humanparse import Parser, checkpoint, image, models, registry
from humanparse.adapters.transformers import ImageProcessor
from humanparse.bench import measure, synthetic_photo
from humanparse.models.detector import Detector
from humanparse.ops.float32 import PROCESS, exact_float32
from humanparse.runtimes.export import agreement
from humanparse.runtimes.onnx_graph import write_graph

PHOTO = image.load(Path(__file__).parents[1] / "examples" / "astronaut.png")[:200, :200]
CPU = torch.device("cpu")
PRECISIONS = hasattr(torch._C, "_get_fp32_precision_getter")  # torch 2.9 and later
OPERATIONS = [
    *(("generic", "all"), ("cuda", "all"), ("cuda", "conv"), ("cuda", "rnn"), ("cuda", "matmul")),
    *(("mkldnn", "all"), ("mkldnn", "conv"), ("mkldnn", "matmul")),
]


def older_switches() -> dict[str, Any]:
    """What torch says; "mixed" where it refuses to, because newer settings contradict the older ones."""
    getters: dict[str, Callable[[], Any]] = {
        "cudnn": torch._C._get_cudnn_allow_tf32,
        "cublas": torch._C._get_cublas_allow_tf32,
        "matmul": torch.get_float32_matmul_precision,
    }
    found = {}
    for name, read in getters.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = "mixed"
    return found


def precisions() -> dict[tuple[str, str], str]:
    return {key: torch._C._get_fp32_precision_getter(*key) for key in OPERATIONS} if PRECISIONS else {}


def settings() -> dict[Any, Any]:
    return {
        **older_switches(),
        **precisions(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
    }


def rounded() -> list[str]:
    """The settings in force here under which float32 products are not float32."""
    found = [
        f"{key} {value}"
        for key, value in older_switches().items()
        if value not in (False, "highest", "mixed")
    ]
    for key, value in precisions().items():
        if key[1] in ("conv", "matmul") and value not in ("ieee", "none"):
            found.append(f"{key} {value}")
    return found + (["autocast"] if torch.is_autocast_enabled("cpu") else [])


@pytest.fixture(autouse=True)
def as_torch_comes() -> Iterator[None]:
    def reset() -> None:
        for key in OPERATIONS if PRECISIONS else []:
            torch._C._set_fp32_precision_setter(*key, "none")
        torch._C._set_cudnn_allow_tf32(True)
        torch.set_float32_matmul_precision("highest")
        for key in OPERATIONS if PRECISIONS else []:
            if key[1] == "matmul":
                torch._C._set_fp32_precision_setter(*key, "none")

    reset()
    yield
    reset()


@dataclass
class Watch:
    """Stands in the place of a network: notes what is in force before and after it computed."""

    network: Callable[..., Any]
    wait: float = 0.0
    seen: list[list[str]] = field(default_factory=list)

    def __call__(self, batch: torch.Tensor) -> Any:
        self.seen.append(rounded())
        found = self.network(batch)
        time.sleep(self.wait)
        self.seen.append(rounded())
        return found


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


@contextmanager
def watched(parser: Parser, wait: float = 0.0) -> Iterator[list[list[str]]]:
    kept = dict(parser._model._networks)
    watch = Watch(parser.pipeline.network, wait)
    parser._model._networks["network"] = replace(parser.pipeline, network=watch)
    try:
        yield watch.seen
    finally:
        parser._model._networks.update(kept)


def set_cublas() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True


def set_precision(*names: str, value: str) -> None:
    owner: Any = torch.backends
    for name in names:
        owner = getattr(owner, name)
    owner.fp32_precision = value


OLDER = {
    "as torch comes": lambda: None,
    "cudnn without TF32": lambda: torch._C._set_cudnn_allow_tf32(False),
    "cublas with TF32": set_cublas,
    "matmul high": lambda: torch.set_float32_matmul_precision("high"),
    "matmul medium": lambda: torch.set_float32_matmul_precision("medium"),
}
NEWER = {
    "cudnn.conv ieee": lambda: set_precision("cudnn", "conv", value="ieee"),
    "cudnn.conv tf32": lambda: set_precision("cudnn", "conv", value="tf32"),
    "cudnn.rnn ieee": lambda: set_precision("cudnn", "rnn", value="ieee"),
    "cudnn ieee": lambda: set_precision("cudnn", value="ieee"),
    "cuda.matmul tf32": lambda: set_precision("cuda", "matmul", value="tf32"),
    "mkldnn bf16": lambda: set_precision("mkldnn", value="bf16"),
    "mkldnn.matmul bf16": lambda: set_precision("mkldnn", "matmul", value="bf16"),
    "mkldnn.conv bf16": lambda: set_precision("mkldnn", "conv", value="bf16"),
    "everything tf32": lambda: set_precision(value="tf32"),
    "everything bf16": lambda: set_precision(value="bf16"),
    "everything ieee": lambda: set_precision(value="ieee"),
}
SWITCHES: dict[str, Callable[[], Any]] = {**OLDER, **(NEWER if PRECISIONS else {})}


@pytest.mark.parametrize("name", SWITCHES)
def test_no_switch_of_the_process_rounds_float32_and_each_stays_as_it_was(parser: Parser, name: str) -> None:
    expected = parser.predict(PHOTO, keep_logits=True)
    together = list(parser.predict_many([PHOTO, PHOTO]))
    SWITCHES[name]()
    before = settings()
    with watched(parser) as seen:
        found = parser.predict(PHOTO, keep_logits=True)
        many = list(parser.predict_many([PHOTO, PHOTO]))
    assert seen == [[]] * 6
    assert settings() == before
    assert found == expected and np.array_equal(found.logits, expected.logits)
    assert many == together


@pytest.mark.parametrize("name", ["conv ieee", "frozen", "tf32, frozen"])
def test_flags_that_torch_refuses_to_set_or_to_tell_are_no_obstacle(name: str) -> None:
    code = {
        "conv ieee": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
        "frozen": "torch.backends.disable_global_flags()",
        "tf32, frozen": "torch.backends.fp32_precision = 'tf32'; torch.backends.disable_global_flags()",
    }[name]
    if "fp32" in code and not PRECISIONS:
        pytest.skip("this torch has no such setting")
    script = f"""
import numpy as np, torch
from humanparse import Parser
photo = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
parser = Parser(device="cpu")
expected = parser.predict(photo)
{code}
assert Parser(device="cpu").predict(photo) == parser.predict(photo) == expected
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_autocast_around_a_prediction_changes_nothing(precision: Any) -> None:
    parser = Parser(device="cpu", precision=precision)
    expected = parser.predict(PHOTO, keep_logits=True, confidence=True)
    (one_of_many,) = parser.predict_many([PHOTO], keep_logits=True)
    with torch.autocast("cpu", dtype=torch.bfloat16), watched(parser) as seen:
        found = parser.predict(PHOTO, keep_logits=True, confidence=True)
        (many,) = parser.predict_many([PHOTO], keep_logits=True)
        assert torch.is_autocast_enabled("cpu")
    assert seen == [[]] * 4
    assert found == expected
    assert np.array_equal(found.logits, expected.logits) and np.array_equal(many.logits, one_of_many.logits)


def test_threads_that_share_a_parser_never_see_tf32_and_leave_the_process_as_it_was(parser: Parser) -> None:
    torch.set_float32_matmul_precision("medium")
    expected, before, failed = parser.predict(PHOTO), settings(), []

    def work(number: int) -> None:
        time.sleep(0.01 * number)
        failed.extend(number for _ in range(4) if parser.predict(PHOTO) != expected)

    with watched(parser, wait=0.02) as seen:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 2 * 4 * 4 and seen == [[]] * len(seen)
    assert settings() == before and failed == []


def test_what_another_thread_sets_meanwhile_stays_and_does_not_reach_the_next_prediction(
    parser: Parser,
) -> None:
    with exact_float32(CPU):
        torch.set_float32_matmul_precision("high")
        with watched(parser) as seen:
            parser.predict(PHOTO)
    assert seen == [[], []]
    assert torch.get_float32_matmul_precision() == "high"
    with exact_float32(CPU):
        torch.set_float32_matmul_precision("medium")
    assert torch.get_float32_matmul_precision() == "medium"


def test_an_error_inside_puts_the_settings_back() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), exact_float32(CPU), exact_float32(CPU):
        assert rounded() == []
        _ = 1 / 0
    assert settings() == before


def test_a_forked_process_does_not_wait_for_the_threads_that_held_the_settings() -> None:
    torch.set_float32_matmul_precision("medium")
    before = settings()
    PROCESS.take()
    assert rounded() == []
    PROCESS.forget_holders()
    assert settings() == before
    with exact_float32(CPU):
        assert rounded() == []
    assert settings() == before


@contextmanager
def as_bad_as_it_gets() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


def test_crops_of_people_are_computed_exactly_too(parser: Parser) -> None:
    people = [[20, 0, 180, 190]]
    expected = parser.predict(PHOTO, people=people, confidence=True)
    with as_bad_as_it_gets(), watched(parser) as seen:
        found = parser.predict(PHOTO, people=people, confidence=True)
    assert seen == [[]] * 4 and found == expected


@pytest.mark.parametrize("smooth", [None, "exponential", "flow"])
def test_videos_are_computed_exactly_too(parser: Parser, tmp_path: Path, smooth: Any) -> None:
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (200, 200))
    for shift in (0, 4, 8):
        video.write(np.ascontiguousarray(np.roll(PHOTO, shift, 1)[..., ::-1]))
    video.release()
    expected = [one.parsing for one in parser.predict_video(tmp_path / "clip.avi", smooth=smooth)]
    with as_bad_as_it_gets(), watched(parser) as seen:
        found = [one.parsing for one in parser.predict_video(tmp_path / "clip.avi", smooth=smooth)]
    assert seen == [[]] * 6 and found == expected


def test_the_detector_is_computed_exactly_too() -> None:
    torch.manual_seed(0)
    detector = Detector("fasterrcnn_mobilenet_v3_large_320_fpn", min_score=0.0)
    pixels = torch.rand(3, 120, 160, generator=torch.Generator().manual_seed(0))
    expected, seen = detector(pixels), []
    detector.network.backbone.register_forward_pre_hook(lambda *_: seen.append(rounded()))
    detector.network.roi_heads.register_forward_hook(lambda *_: seen.append(rounded()))
    before = settings()
    with as_bad_as_it_gets():
        found = detector(pixels)
    assert seen == [[], []] and torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    torch.set_float32_matmul_precision("highest")
    assert settings() == before | {"matmul": "highest"} | {key: value for key, value in precisions().items()}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_models_that_find_people_are_computed_in_their_own_precision(precision: Any, tmp_path: Path) -> None:
    spec = registry.network("uniparser-r50-mhpv2")
    torch.manual_seed(0)
    checkpoint.save(models.build(spec).state_dict(), tmp_path / "random.safetensors", {})
    parser = Parser(spec.name, weights=tmp_path / "random.safetensors", device="cpu", test_size=(64, 96),
                    precision=precision)  # fmt: skip
    small, kinds = PHOTO[:60, :80], []
    expected = parser.predict(small)
    assert isinstance(parser.pipeline.network, nn.Module)

    def note(*_: Any) -> None:
        kinds.append((torch.is_autocast_enabled("cpu"), older_switches()["matmul"]))

    parser.pipeline.network.register_forward_pre_hook(note)
    with as_bad_as_it_gets():
        found = parser.predict(small)
    assert kinds == [(precision == "bf16", "highest")]
    assert found == expected


def test_exported_graphs_and_their_comparison_know_no_autocast(tmp_path: Path) -> None:
    spec = registry.network("lite-atr")
    network = models.build(spec).eval()
    write_graph(network, tmp_path / "plain.onnx", {})
    seen: list[list[str]] = []
    network.register_forward_pre_hook(lambda *_: seen.append(rounded()))
    with as_bad_as_it_gets():
        write_graph(network, tmp_path / "autocast.onnx", {})
        agreement(network, network, spec)
    assert len(seen) == 3 and seen == [[]] * 3
    graphs = [onnx.load(tmp_path / f"{name}.onnx").graph for name in ("plain", "autocast")]
    assert [node.op_type for node in graphs[0].node] == [node.op_type for node in graphs[1].node]


def test_bench_times_exact_float32(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[list[str]] = []
    product = torch.Tensor.__matmul__

    def noted(one: Any, other: Any) -> Any:
        products.append(rounded())
        return product(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", noted)
    with as_bad_as_it_gets(), watched(parser) as seen:
        measure(parser, synthetic_photo(80, 60), runs=1)
    assert seen == [[]] * 4 and products and products == [[]] * len(products)


def test_the_bare_network_of_the_image_processor_is_exact(parser: Parser) -> None:
    processor = ImageProcessor(parser)
    expected = processor.model(**processor([PHOTO])).logits
    with as_bad_as_it_gets():
        outputs = processor.model(**processor([PHOTO]))
        (labels,) = processor.post_process_semantic_segmentation(outputs, [PHOTO.shape[:2]])
    assert torch.equal(outputs.logits, expected)
    assert np.array_equal(labels, parser.predict(PHOTO).labels)


MODES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference_mode": torch.inference_mode,
    "inference_mode(False)": lambda: torch.inference_mode(False),
    "another default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("name", MODES)
def test_gradient_modes_and_the_default_device_change_nothing(parser: Parser, name: str) -> None:
    people = [[20, 0, 180, 190]]
    expected = parser.predict(PHOTO, confidence=True), parser.predict(PHOTO, people=people, confidence=True)
    before = settings()
    with MODES[name]():
        inside = Parser(device="cpu", scales=(0.75, 1.0), flip=True)
        found = parser.predict(PHOTO, confidence=True), parser.predict(PHOTO, people=people, confidence=True)
        averaged = inside.predict(PHOTO)
        (many,) = inside.predict_many([PHOTO])
    assert found == expected and settings() == before
    assert (
        averaged
        == many
        == Parser(device="cpu", scales=(0.75, 1.0), flip=True).predict(PHOTO)
        == inside.predict(PHOTO)
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("model", ["lite-atr", "ssseg-ce2p-r50-os16-lip"])
def test_the_default_type_changes_nothing(dtype: torch.dtype, model: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"device": "cpu", "scales": (0.75, 1.0)}
    if model != "lite-atr":
        torch.manual_seed(0)
        network = models.build(registry.network(model))
        checkpoint.save(network.state_dict(), tmp_path / "random.safetensors", {})
        options |= {"weights": tmp_path / "random.safetensors", "test_size": (65, 65)}
    expected = Parser(model, **options).predict(PHOTO, keep_logits=True)
    torch.set_default_dtype(dtype)
    try:
        found = Parser(model, **options).predict(PHOTO, keep_logits=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == expected and np.array_equal(found.logits, expected.logits)
