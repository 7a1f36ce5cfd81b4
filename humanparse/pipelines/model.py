"""`Model`: the networks of a model, loaded as `ParserOptions` say, and the pipelines made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args

import torch
from torch import Tensor, nn

from .. import hub, registry
from ..arrays import Picture
from ..detections import Detections, read_people_in_pixels
from ..errors import DeviceError, ModelError, PeopleError
from ..geometry import Protocols
from ..options import ParserOptions
from ..registry import FAMILIES, ModelSpec
from ..runtimes.hosted import hosted, hosted_file, hosted_with_people
from ..runtimes.loading import file_of, given_files, is_graph, load_network
from ..runtimes.placement import DTYPES, Precision, Runtime, choose_device, choose_precision, choose_runtime
from .bottom_up import BottomUp
from .detecting import PeopleDetector
from .pipeline import Pipeline
from .rules import RULES
from .semantic import Semantic, check_scales, input_at
from .single_stage import SingleStage, find_decoder
from .top_down import TopDown, find_rule


def checked(options: ParserOptions) -> registry.Spec:
    """The record of a model, if there is one of that name and its options have known words; loads nothing."""
    if options.protocol not in get_args(Protocols):
        known = ", ".join(get_args(Protocols))
        raise ModelError(f"protocol must be one of {known}, not {options.protocol!r}")
    spec = hub.find_model(options.model, offline=options.offline)
    find_rule(options.rule or spec.rule)
    return spec


def placed(options: ParserOptions, spec: registry.Spec) -> tuple[Runtime, torch.device, Precision]:
    """Where and how a model runs: runtime, device and precision; loads nothing."""
    parts = spec.networks()
    own = given_files(spec.name, options.weights, tuple(parts))
    on_graph = any(is_graph(own.get(role)) for role in parts)
    if on_graph and options.runtime == "openvino":
        raise DeviceError("only ONNX Runtime runs an ONNX file; leave `runtime` out")
    runtime: Runtime = "onnxruntime" if on_graph else options.runtime
    runtime, name, precision = choose_runtime(runtime, options.device, options.precision, parts.values())
    device = choose_device(name)
    return runtime, device, choose_precision(precision, device)


class Model:
    """The networks of a model, ready to run; `Parser` describes its arguments, attributes and errors."""

    def __init__(self, options: ParserOptions, progress: bool | None) -> None:
        self.spec = checked(options)
        parts = self.spec.networks()
        own = self._files = given_files(self.spec.name, options.weights, tuple(parts))
        self._graphs = {role for role in parts if is_graph(own.get(role))}
        self.runtime, self.device, self.precision = placed(options, self.spec)
        offline = options.offline
        self.weights = {role: file_of(spec, own.get(role), offline, progress) for role, spec in parts.items()}
        found = registry.detector_for(self.spec, options.detector, "detector" in own)
        self.detector = None if found is None else found.name
        file = own.get("detector")
        self._detect = None if found is None else PeopleDetector(found, file, self.device, offline, progress)
        self._rule = options.rule or self.spec.rule
        self._fast_decode = options.fast_decode
        self._loaded: dict[str, nn.Module] = {}
        self._networks = {role: self._assembled(spec, role, options) for role, spec in parts.items()}

    def _assembled(self, spec: ModelSpec, role: str, options: ParserOptions) -> Semantic | SingleStage:
        """The pipeline of one network, with the options that change its input or output."""
        flip = spec.flip if options.flip is None else options.flip
        scales = check_scales(spec.scales if options.scales is None else options.scales)
        if not spec.gives_logits and (flip or scales != (1.0,)):
            raise ModelError(
                f"{spec.name} cannot average several views of a photo: leave flip and scales out"
            )
        if not spec.gives_logits and options.fast_decode:
            raise ModelError(f"{spec.name} needs the whole photo: leave `fast_decode` out")
        fitted = spec.input if options.test_size is None else input_at(spec.input, options.test_size)
        shared: dict[str, Any] = {
            "name": self.spec.name,
            "network": self._network(spec, role, fitted.size),
            "scheme": spec.scheme,
            "input": fitted,
            "device": self.device,
            "protocol": options.protocol,
        }
        if spec.gives_logits:
            views: dict[str, Any] = {"flip": flip, "scales": scales, "fast_decode": options.fast_decode}
            return Semantic(**shared, **views, small=FAMILIES[spec.family].small)
        decode: dict[str, Any] = {"decode": find_decoder(spec), "thresholds": spec.decode or {}}
        return SingleStage(**shared, **decode, dtype=DTYPES[self.precision])

    def _network(self, spec: ModelSpec, role: str, size: tuple[int, int]) -> Callable[[Tensor], Any]:
        """A function that computes the logits, or the maps of a network that finds people."""
        if role in self._graphs:
            return hosted_file(self.weights[role], spec, size)
        published = role not in self._files and not spec.in_folder
        network = load_network(spec, self.weights[role], published).to(self.device)
        if spec.people_head is not None:
            self._loaded[role] = network
        return hosted(network, spec, self.runtime, self.precision)

    def pipeline_for(self, people: Any) -> Pipeline:
        """See `Parser.pipeline_for`."""
        whole = self._whole
        if people is None and (isinstance(whole, SingleStage) or not self.spec.finds_people):
            return whole
        if isinstance(people, str) and people != "detect":
            raise PeopleError(f'people must be "detect" or say where they are, not {people!r}')
        if isinstance(whole, SingleStage):
            raise ModelError(f"{self.spec.name} finds people by itself: leave people out")
        if self._fast_decode and not (isinstance(people, str) and self._detect is None):
            raise ModelError("people are cut from the whole photo: leave `fast_decode` or `people` out")
        detected = people is None or isinstance(people, str)
        if detected and self._detect is None:
            return self._bottom_up
        if whole.protocol != "extract":
            raise ModelError('people are fused from logits, so the protocol must be "extract"')
        networks = [network for network in self._networks.values() if isinstance(network, Semantic)]
        local = tuple(networks[1:] or networks)  # a single network parses the crops, too

        def given(photo: Picture) -> Detections:
            return read_people_in_pixels(people, photo.shape[:2])

        find = self._detect if detected and self._detect is not None else given
        return TopDown(self.spec.name, self.spec.scheme, whole, local, RULES[self._rule], find, detected)

    @property
    def _whole(self) -> Semantic | SingleStage:
        """The network that parses whole pictures."""
        return next(iter(self._networks.values()))

    @cached_property
    def _bottom_up(self) -> BottomUp:
        """The network with its people head."""
        whole, spec = self._whole, self.spec
        assert isinstance(whole, Semantic) and isinstance(spec, ModelSpec) and spec.people_head is not None
        if self._graphs:
            raise ModelError("ONNX files have no people head here: name a detector, or say where people are")
        both = hosted_with_people(self._loaded["network"], spec, self.runtime, self.precision)
        return BottomUp.of(whole, both, spec.people_head)

    @property
    def described(self) -> str:
        """The model and how it runs, in words."""
        whole = self._whole
        extras = whole.unusual if isinstance(whole, Semantic) else []
        if len(self._networks) > 1:
            extras.append(f"{' + '.join(self._networks)}, rule {self._rule}")
        extras += [self.runtime] if self.runtime != "torch" else []
        extras += [repr(whole.network)] if "global" in self._graphs or "network" in self._graphs else []
        described = ", ".join([whole.input.extent, str(self.device), self.precision, *extras])
        return f"{self.spec.name}: {len(self.spec.scheme)} {self.spec.scheme.key} labels, {described}"
