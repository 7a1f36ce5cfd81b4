"""Makes the record of a SegFormer from the files that transformers' `save_pretrained` wrote.

The architecture comes from `config.json`, labels and their left/right pairs from its `id2label`, the input
from `preprocessor_config.json`. A setting that is not supported raises an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from ..errors import ModelError
from ..schemes import LabelScheme, scheme_of
from .specs import InputSpec, Interpolation, Licence, ModelSpec, WeightFile

Json = Mapping[str, Any]

_ARCHITECTURE = {
    "depths": "depths",
    "hidden_sizes": "widths",
    "decoder_hidden_size": "decoder",
    "num_attention_heads": "heads",
    "sr_ratios": "reductions",
    "patch_sizes": "patches",
    "strides": "strides",
    "mlp_ratios": "mlp_ratios",
}
"""Entry of a config -> argument of our network; both have the same defaults."""

_PROCESSORS = ("SegformerImageProcessor", "SegformerImageProcessorFast", "SegformerFeatureExtractor")
_RESAMPLE: Mapping[int, Interpolation] = {1: "pil-lanczos", 2: "pil-bilinear", 3: "pil-bicubic"}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def pretrained_model(
    name: str, origin: str, config: Json, preprocessor: Json, card: Json, file: WeightFile
) -> ModelSpec:
    """The record of a model in the format of transformers, from the contents of its files.

    Args:
        card: YAML header of the model card, `README.md`; may be empty.

    Raises:
        ModelError: it is not a SegFormer for segmentation, or has a setting that is not supported.
    """
    labels = _labels(config, name)
    return ModelSpec(
        name=name,
        paper="SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203); see the model's own card",
        origin=origin,
        accuracy=(),
        licence=_licence(card),
        file=file,
        family="segformer",
        architecture=_architecture(config, name),
        scheme_key=labels.key,
        own_labels=labels,
        input=_input(preprocessor, name),
    )


def _architecture(config: Json, name: str) -> dict[str, Any]:
    model_type, classes = config.get("model_type"), config.get("architectures")
    if model_type != "segformer":
        raise ModelError(f"{name}: config.json describes a {model_type!r} model; only segformer is supported")
    if classes and "SegformerForSemanticSegmentation" not in classes:
        raise ModelError(f"{name}: a {classes[0]}, which does not label pixels; use one for segmentation")
    found = {ours: config[theirs] for theirs, ours in _ARCHITECTURE.items() if theirs in config}
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    stages = len(found.get("depths", (2, 2, 2, 2)))
    wanted: dict[str, Any] = {
        "num_channels": 3,
        "num_encoder_blocks": stages,
        "hidden_act": "gelu",
        "reshape_last_stage": True,
        "quantization_config": None,
        "auto_map": None,
    }
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise ModelError(f"{name}: config.json has {key}={config[key]!r}; only {value!r} is supported")
    return found


def _labels(config: Json, name: str) -> LabelScheme:
    given = config.get("id2label")
    numbers = sorted(map(int, given)) if isinstance(given, Mapping) else []
    if not isinstance(given, Mapping) or numbers != list(range(len(numbers))) or not 2 <= len(numbers) <= 255:
        raise ModelError(f"{name}: id2label in config.json must name 2 to 255 labels, numbered from 0")
    by_number = {int(number): str(label) for number, label in given.items()}
    last = re.split(r"[/\\]", name.partition("@")[0].rstrip("/\\"))[-1]
    key = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")
    return scheme_of(tuple(by_number[number] for number in numbers), key)


def _input(preprocessor: Json, name: str) -> InputSpec:
    def refuse(key: str, known: str) -> ModelError:
        return ModelError(
            f"{name}: preprocessor_config.json has {key}={preprocessor.get(key)!r}; only {known} is supported"
        )

    kind = preprocessor.get("image_processor_type", preprocessor.get("feature_extractor_type"))
    if kind is not None and kind not in _PROCESSORS:
        raise ModelError(f"{name}: its photos are prepared by a {kind}; only {_PROCESSORS[0]} is supported")
    for key in ("do_resize", "do_center_crop", "do_pad"):
        if bool(preprocessor.get(key, key == "do_resize")) != (key == "do_resize"):
            raise refuse(key, "a resize to a fixed size alone")
    size = preprocessor.get("size", {"height": 512, "width": 512})
    size = {"height": size, "width": size} if isinstance(size, int) else size
    if not isinstance(size, Mapping) or set(size) != {"height", "width"}:
        raise refuse("size", 'a fixed size, {"height": …, "width": …}')
    if preprocessor.get("resample", 2) not in _RESAMPLE:
        raise refuse("resample", "1 (Lanczos), 2 (bilinear) or 3 (bicubic)")
    scale: Literal["0-1", "0-255"] = "0-1" if preprocessor.get("do_rescale", True) else "0-255"
    if scale == "0-1" and abs(preprocessor.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise refuse("rescale_factor", "1/255")
    normal = preprocessor.get("do_normalize", True)
    return InputSpec(
        size=(int(size["height"]), int(size["width"])),
        fit="squash",
        channels="rgb",
        mean=_triple(preprocessor.get("image_mean", _IMAGENET[0])) if normal else (0.0, 0.0, 0.0),
        std=_triple(preprocessor.get("image_std", _IMAGENET[1])) if normal else (1.0, 1.0, 1.0),
        scale=scale,
        interpolation=_RESAMPLE[preprocessor.get("resample", 2)],
        align_corners=False,
        upsampling="one-step",
    )


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values if isinstance(values, list | tuple) else (values,) * 3
    return float(red), float(green), float(blue)


def _licence(card: Json) -> Licence:
    stated = card.get("license_name") or card.get("license")
    bases = card.get("base_model") or []
    bases = [bases] if isinstance(bases, str) else [str(base) for base in bases]
    weights = f"{stated}, as its model card says" if stated else "unknown: its model card states none"
    restricted = [base for base in bases if base.startswith(("nvidia/mit-", "nvidia/segformer"))]
    if restricted:
        commercial, reason = (
            "no",
            f"made from {restricted[0]}, whose licence is non-commercial and reaches it",
        )
    elif stated and re.search(r"\bnc\b|non-?commercial", str(stated).lower()):
        commercial, reason = "no", f"its model card says {stated}"
    else:
        commercial, reason = "unclear", "its model card does not say what it was made from, or on what terms"
    return Licence(
        code="Apache-2.0 (humanparse)",
        weights=weights,
        data="unknown; see its model card",
        commercial=commercial,  # type: ignore[arg-type]
        reason=reason,
    )
