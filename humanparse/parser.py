"""`Parser`: loads a model by name and parses photos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any, Literal, overload

from . import image, registry, runtimes
from .errors import PeopleError
from .geometry import Protocols
from .options import ParserOptions
from .pipelines.batches import check_many, parse_many, raising
from .pipelines.model import Model
from .pipelines.pipeline import Pipeline
from .results import Parsing
from .runtimes.loading import Weights
from .runtimes.placement import Precision, Runtime
from .video.parsed import ParsedVideo, Smooth, parse_video


class Parser:
    """Labels every pixel of a photo of people.

    Args:
        model: a name of `humanparse.list_models()`; the default comes with the package. Or any SegFormer in
            the format of transformers: `"hf:owner/name"` or `"hf:owner/name@revision"` on the Hugging Face
            hub, or the path of a folder with its `config.json`, `preprocessor_config.json` and weights.
        weights: your own checkpoint file for this model, in any published form, or an ONNX file of it, which
            ONNX Runtime runs. For a model of several networks, a mapping such as `{"global": …, "local": …}`.
            The mapping may also have the file of a `"detector"`; then a single network's file is
            `"network"`. Files that you do not pass are downloaded.
        device: `"auto"` (CUDA if available, else CPU), `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"` (accepted,
            untested).
        precision: `"float32"` is exact; `"bf16"` and `"fp16"` (CUDA only) are faster and change a few labels
            at borders; `"auto"` is float32 on CPU and MPS, fp16 on CUDA.
        runtime: `"torch"`; or `"onnxruntime"` (float32 only) or `"openvino"`, which run models with logits on
            the CPU and are installed by the extras of these names; `"auto"` is the fastest installed one (see
            docs).
        flip: average with the mirrored photo; None is the original's default.
        scales: average over these sizes, such as `(0.75, 1.0, 1.25)`; None is the original's default.
        protocol: how logits become labels of the photo. `"extract"`: logits are resampled, then the best
            class is taken, like the original's extractor. `"paper"`: the best class is taken at network size
            and resampled by nearest neighbour, like its evaluation. `"score"`: like paper, with centres cut
            to whole pixels, like its published scores. For models that find people by themselves,
            `"extract"` puts the person with the higher score on top, and the others return the original's
            own map.
        test_size: the network's input size instead of the original's: (height, width). For models that keep
            the aspect: (short side, limit of the long side); for `keep-ratio` inputs, both limits.
        detector: the detector for `people="detect"`: `"maskrcnn_resnet50_fpn_v2"`, or the faster
            `"fasterrcnn_mobilenet_v3_large_320_fpn"`, which finds boxes only. It is loaded when first used.
            None: the model's own people head, without a second network; for models without one, the first of
            these.
        rule: how the whole photo's logits are fused with those of people that you pass or a detector finds:
            `"schp"`, `"schp-original"` (with its defects) or `"mce2p"`. None takes the model's own rule, or
            SCHP's for a model of one network.
        fast_decode: decode JPEGs at 1/2, 1/4 or 1/8 of their size if that is still at least twice what the
            network sees. Labels have the photo's own size; a few at borders differ (see docs). For models
            with logits, and for people that their own head finds.
        offline: never use the network; None follows HUMANPARSE_OFFLINE and HF_HUB_OFFLINE.
        progress: show download progress; None shows it on a terminal only.

    Attributes:
        options: the arguments, as a value that can be sent to other processes; see `ParserOptions`.
        spec: the model's record (see `humanparse.model_info`).
        scheme: its label scheme.
        device: the `torch.device` in use.
        precision: the precision in use: `"float32"`, `"bf16"` or `"fp16"`.
        runtime: the runtime in use: `"torch"`, `"onnxruntime"` or `"openvino"`.
        weights: role of each network (`"network"` for a single one) -> the checkpoint file in use.
        detector: name of the detector for `people="detect"`; None if the model's people head finds them.

    Raises:
        ModelError: unknown model, or an option that the model cannot take.
        WeightsError: the weights cannot be found, or do not fit.
        DeviceError: the device, the precision or the runtime is not available here.

    Examples:
        >>> from humanparse import Parser
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> parsing.overlay("examples/grace_hopper.jpg").save("overlay.png")
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = registry.DEFAULT,
        *,
        weights: Weights | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        runtime: Runtime = runtimes.DEFAULT,
        flip: bool | None = None,
        scales: tuple[float, ...] | None = None,
        protocol: Protocols = "extract",
        test_size: tuple[int, int] | None = None,
        detector: str | None = None,
        rule: str | None = None,
        fast_decode: bool = False,
        offline: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        given = {**locals(), "model": os.fspath(model)}  # all arguments, before there are other names
        self.options = ParserOptions(**{field.name: given[field.name] for field in fields(ParserOptions)})
        self._model = Model(self.options, progress)
        self.spec, self.scheme = self._model.spec, self._model.spec.scheme
        self.device, self.precision = self._model.device, self._model.precision
        self.runtime = self._model.runtime
        self.weights, self.detector = self._model.weights, self._model.detector

    @classmethod
    def of(cls, options: ParserOptions, progress: bool | None = None) -> Parser:
        """The parser of these options; `progress` and the errors are those of `Parser`."""
        return cls(**vars(options), progress=progress)

    @property
    def finds_people(self) -> bool:
        """Whether the model always tells people apart."""
        return self.spec.finds_people

    @property
    def pipeline(self) -> Pipeline:
        """Parses pictures that are already decoded; as `predict` does without `people`.

        parsings = parser.pipeline.parse_batch([picture, other])   # RGB uint8 (H, W, 3), of any sizes
        """
        return self.pipeline_for(None)

    def pipeline_for(self, people: Any = None) -> Pipeline:
        """A pipeline whose `parse_batch` parses pictures that are already decoded.

        Args:
            people: as for `predict`; boxes, masks and the like are those of a single picture.

        Raises:
            ModelError: the model finds people by itself, or its protocol has no logits to fuse.
            PeopleError: `people` is a text other than `"detect"`.
        """
        return self._model.pipeline_for(people)

    def predict(
        self, source: Any, *, people: Any = None, keep_logits: bool = False, confidence: bool = False
    ) -> Parsing:
        """Parse one photo.

        Args:
            source: path, URL, bytes, binary file, PIL image, numpy RGB (H, W, 3), (H, W) or (H, W, 4), or
                torch (3, H, W); see `humanparse.image.load`.
            people: the people to tell apart. None: nobody, or the people that the detector finds if the model
                has several networks. `"detect"`: the people found by the model's own head, for which the
                network sees the photo larger, or by the detector (see `Parser`). Or your own: boxes (N, 4),
                x0, y0, x1, y1 in pixels, half-open; masks (N, H, W); a mapping with `boxes`, `scores` and
                `masks`; a list of COCO results; supervision's `Detections`; see
                `humanparse.detections.read_people`. Everyone you pass is in the result; a person whose pixels
                all belong to others gets an empty mask.
            keep_logits: fill in `.logits`, float32 (C, h, w); with people, those of the whole picture.
            confidence: fill in `.confidence`, float16 (H, W).

        Raises:
            ImageError: the input is not a readable picture; the message names it.
            ModelError: the model has no logits or no confidence.
            PeopleError: `people` has an unknown form, or does not fit the picture.
            WeightsError: the detector's weights cannot be found.

        Examples:
            >>> from humanparse import Parser
            >>> parsing = Parser().predict("examples/astronaut.png", people=[[0, 0, 390, 512]])
            >>> parsing.people[0].box
            (0, 0, 390, 512)
        """
        pipeline = self.pipeline_for(people)
        photo = pipeline.read(partial(image.load, source))
        return pipeline.start([photo], keep_logits, confidence)()[0]

    @overload
    def predict_many(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = 8,
        on_error: Literal["raise"] = "raise",
        people: Literal["detect"] | None = None,
        keep_logits: bool = False,
        confidence: bool = False,
        ahead: int | None = None,
    ) -> Iterator[Parsing]: ...

    @overload
    def predict_many(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = 8,
        on_error: Literal["yield"],
        people: Literal["detect"] | None = None,
        keep_logits: bool = False,
        confidence: bool = False,
        ahead: int | None = None,
    ) -> Iterator[Parsing | Exception]: ...

    def predict_many(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = 8,
        on_error: Literal["raise", "yield"] = "raise",
        people: Literal["detect"] | None = None,
        keep_logits: bool = False,
        confidence: bool = False,
        ahead: int | None = None,
    ) -> Iterator[Parsing] | Iterator[Parsing | Exception]:
        """Parse many photos, of any sizes, in order; threads read ahead while the network works.

        Args:
            sources: each as for `predict`. They are taken when they are needed: at most `ahead` photos early,
                beside those that are computed (two batches; on a CPU, nine photos or fewer). So an endless
                generator works. Once the next source is requested, you may change the arrays, pictures and
                files before it, or close them. An exception of `sources` itself is raised after the results
                of the photos before it.
            batch_size: on a GPU, largest number of photos that go through the network together, if their
                inputs have the same size. On a CPU, photos go through it one by one; if it is small, several
                at the same time, each in a thread. Models of several networks, single-stage models and
                detectors take photos one by one.
            on_error: what happens if a photo cannot be read, or the network fails on it. `"raise"` raises the
                exception, after the results before it; `"yield"` yields it in the place of the parsing, and
                continues.
            people: None or `"detect"`, as for `predict`.
            keep_logits, confidence: as for `predict`.
            ahead: photos that are read before they are needed, one in each thread; None means `batch_size`.

        Raises:
            ImageError: `sources` is a single photo, or not iterable.
            ModelError: `batch_size`, `ahead` or `on_error` is out of range, or the model has no logits or no
                confidence.

        Examples:
            >>> from humanparse import Parser
            >>> photos = ["examples/grace_hopper.jpg", "examples/astronaut.png"]
            >>> [parsing.size for parsing in Parser().predict_many(photos, batch_size=2)]
            [(600, 512), (512, 512)]
        """
        check_many(sources, batch_size, ahead, on_error)
        tolerant, options = on_error == "yield", (batch_size, keep_logits, confidence)
        found = parse_many(self._for_many(people), sources, *options, ahead=ahead, tolerant=tolerant)
        return found if tolerant else raising(found)

    def predict_video(
        self,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        smooth: Smooth | None = None,
        strength: float | None = None,
        batch_size: int = 8,
        people: Literal["detect"] | None = None,
        confidence: bool = False,
    ) -> ParsedVideo:
        """Parse the frames of a video, in order: iterate over the result, or `.save` it.

        Args:
            path: a video file; its frames are turned upright.
            every: parse every n-th frame, starting with the first.
            smooth: None parses each frame as `predict` does. `"exponential"` averages logits with those of
                the frames before; `"flow"` moves that average with the picture, which is better when things
                move.
            strength: weight of the past in the average, from 0 to less than 1; None is 0.5, or 0.7 for
                `"flow"`.
            batch_size: frames that go through the network together; at most two batches are held.
            people: None or `"detect"`, as for `predict`; each frame has its own people, smoothed or not.
            confidence: as for `predict`.

        Raises:
            ImageError: the file is not a video. Later, while iterating: a frame cannot be read.
            ModelError: an option is out of range, or the model cannot take it.
        """
        options = every, smooth, strength, batch_size, confidence
        return parse_video(path, self._for_many(people), self.scheme, self.spec.name, *options)

    def _for_many(self, people: Any) -> Pipeline:
        if people is not None and not isinstance(people, str):
            raise PeopleError('for many photos, people is None or "detect"; call predict for other people')
        return self.pipeline_for(people)

    def __repr__(self) -> str:
        return f"Parser({self._model.described})"
