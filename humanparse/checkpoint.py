"""Reads checkpoint files in every published form as plain `{key: tensor}`. It never executes a pickle's code.

The form is recognised by content. It may be safetensors, or a zip archive or legacy pickle of `torch.save`,
from which only tensors are read. The state dict may be in a container such as `state_dict` or `ema`, and its
keys may have prefixes such as `module.`.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from . import registry
from .durable import replacing
from .errors import WeightsError
from .impostors import impostor, is_onnx
from .registry import FAMILIES, ModelSpec

State = dict[str, Tensor]

_CONTAINERS = ("state_dict", "model", "model_state_dict", "net", "ema")
"""Names under which training programs store the state dict, in order of preference."""

_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes that wrappers add to all keys: data parallel training, a compiled network, a training program."""


def load(path: str | os.PathLike[str]) -> State:
    """Read a checkpoint as float32 tensors (integers stay), without prefixes and BatchNorm counters.

    Args:
        path: the file; its suffix does not matter.

    Raises:
        WeightsError: the file is missing, cut off or not a checkpoint (the message says what it is instead),
            or it holds code, other objects, or NaN or Inf values.
    """
    path = Path(path)
    if not path.is_file():
        reason = "is a folder, not a file" if path.is_dir() else "no such file"
        raise WeightsError(f"{path}: {reason}; check the path of the weights")
    if is_onnx(path):
        raise WeightsError(
            f"{path} is an ONNX graph, not a checkpoint; Parser(model, weights=…) runs it directly"
        )
    if not _is_safetensors(path) and (told := impostor(path)) is not None:
        raise WeightsError(f"{path} is {told}")
    state = _read_safetensors(path) if _is_safetensors(path) else _unwrapped(_read_torch(path), path)
    state = _without_prefixes(state)
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    for key, value in state.items():
        if value.is_floating_point():
            state[key] = value.to(torch.float32)
            if not torch.isfinite(state[key]).all():
                raise WeightsError(
                    f"{path}: {key} holds NaN or Inf, so this checkpoint is damaged; get another copy"
                )
    return state


def of_use(state: State, spec: ModelSpec) -> State:
    """The state without the keys that some checkpoints of the model's family have and that are not needed."""
    return {key: value for key, value in state.items() if not key.endswith(FAMILIES[spec.family].unused)}


def check(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], spec: ModelSpec, origin: str) -> None:
    """Check that `state` has exactly the keys and shapes of `expected`, the network's own state.

    Raises:
        WeightsError: the number of classes is wrong, or keys are missing, unexpected or of another shape; the
            message lists them.
    """
    wanted = {key: value for key, value in expected.items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    misshaped = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if not (missing or unexpected or misshaped):
        return
    _check_family(state, spec, origin)
    if not (missing or unexpected):
        _check_classes(misshaped, state, wanted, spec, origin)
    shapes = [f"{key} {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}" for key in misshaped]
    raise WeightsError(
        f"{origin} does not fit {spec.name} ({spec.family}, {len(wanted)} tensors)\n"
        + _listing("missing", missing)
        + _listing("unexpected", unexpected)
        + _listing("wrong shape", shapes)
        + "Pass a checkpoint of this model, or name the model that the checkpoint belongs to."
    )


def save(state: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, which appears under its name only when it is complete.

    Raises:
        WeightsError: the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        with replacing(path) as part:
            save_file({key: value.contiguous() for key, value in state.items()}, part, dict(metadata))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"cannot write {path}: {error}; free some space or choose another folder"
        ) from error


def load_converted(path: Path, sha256: str) -> State:
    """Like `load`, but keep a safetensors copy beside a verified download, so that later loads are fast."""
    if _is_safetensors(path):
        return load(path)
    converted = path.with_name(f"{path.stem}.{sha256[:16]}.safetensors")
    if converted.is_file():
        try:
            return load(converted)
        except WeightsError as error:
            warnings.warn(f"the converted copy is made again: {error}", stacklevel=2)
    state = load(path)
    try:
        save(state, converted, {"source": path.name, "source_sha256": sha256})
    except WeightsError as error:
        warnings.warn(f"no converted copy was written, so loading stays slow: {error}", stacklevel=2)
    return state


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def _read_safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged safetensors file ({error}); get another copy") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to allow code
        named = re.search(r"GLOBAL (\S+)", str(error))
        wants = f": {named[1]}" if named else ""
        raise WeightsError(
            f"{path}: not loaded: it is damaged, or holds objects other than tensors{wants}, and reading "
            "those could run code. Get the original file, or save only its state dict."
        ) from error
    except Exception as error:  # torch's unpickler raises many kinds of errors for damaged bytes
        size = path.stat().st_size
        raise WeightsError(
            f"{path}: cut off or damaged, {size} bytes ({type(error).__name__}); get another copy"
        ) from error


def _without_prefixes(state: State) -> State:
    """The state without the prefixes that all of its keys have; there may be several in a row."""
    while state:
        prefix = next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {key.removeprefix("module."): value for key, value in state.items()}


def _unwrapped(content: Any, path: Path) -> State:
    while isinstance(content, Mapping):
        found = [key for key in _CONTAINERS if isinstance(content.get(key), Mapping)]
        if len(found) > 1:
            warnings.warn(f"{path} holds {' and '.join(found)}; {found[0]} is used", stacklevel=2)
        if not found:
            break
        content = content[found[0]]
    if isinstance(content, Mapping):
        content = {key: value for key, value in content.items() if not isinstance(value, int | float | str)}
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(
            f"{path}: holds {type(content).__name__}, not a state dict; save model.state_dict()"
        )
    strange = [str(key) for key, value in content.items() if not _is_plain(value)]
    if strange:
        raise WeightsError(f"{path}: these entries are not plain tensors\n" + _listing("other", strange))
    return {str(key): value for key, value in content.items()}


def _is_plain(value: Any) -> bool:
    """Whether this is a dense, real tensor with values; torch loads sparse, quantised and meta ones, too."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_meta or value.is_quantized or value.is_complex())


def _check_family(state: Mapping[str, Tensor], spec: ModelSpec, origin: str) -> None:
    """Raise a clearer error if the file is complete, but belongs to another network."""
    if "lateral_ppm_layer.0.weight" in state:
        raise WeightsError(
            f"{origin} is an SSSegmentation file from before December 2020, whose network differs from the "
            "published ones; get the release that `humanparse info ssseg-ce2p-r101-os8-lip` names"
        )
    known = [family for family in FAMILIES.values() if family.marker in state]
    if len(known) != 1 or known[0].classifier not in (None, *state):
        return
    family, depths = known[0], _depths(state)
    if family.name == spec.family and _of_depths(spec, depths):
        return
    siblings = [s for s in registry.networks() if s.family == family.name]
    fitting = [s for s in siblings if _of_depths(s, depths)]
    facts = [f"ResNet-{2 + 3 * sum(depths['layers'])}"] if "layers" in depths else []
    facts += [f"depths {' '.join(map(str, depths['depths']))}"] if "depths" in depths else []
    if family.classifier is not None:
        classes = state[family.classifier].shape[0]
        fitting = [s for s in fitting if len(s.scheme) == classes]
        facts.append(f"{classes} classes")
    described = f" ({', '.join(facts)})" if facts else ""
    hint = f"; use one of: {', '.join(s.name for s in fitting or siblings)}" if siblings else ""
    raise WeightsError(f"{origin} does not fit {spec.name}: it is a {family.title} file{described}{hint}")


_BLOCKS = {"layers": r"\blayer([1-4])\.(\d+)\.", "depths": r"\bencoder\.block\.(\d)\.(\d+)\."}
"""Network argument with the number of blocks in each stage -> pattern of keys, with stage and block."""


def _depths(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Network argument -> number of blocks in each stage; without arguments that no key belongs to."""
    found = {}
    for argument, pattern in _BLOCKS.items():
        places = [(int(m[1]), int(m[2])) for m in (re.search(pattern, key) for key in state) if m]
        stages = sorted({stage for stage, _ in places})
        if stages:
            found[argument] = tuple(1 + max(block for at, block in places if at == s) for s in stages)
    return found


def _of_depths(spec: ModelSpec, depths: Mapping[str, tuple[int, ...]]) -> bool:
    return all(spec.architecture.get(argument, blocks) == blocks for argument, blocks in depths.items())


def _check_classes(
    misshaped: Iterable[str],
    state: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    spec: ModelSpec,
    origin: str,
) -> None:
    """Raise a clearer error if only the number of classes differs."""
    found = set()
    for key in misshaped:
        ours, theirs = wanted[key].shape, state[key].shape
        if len(ours) != len(theirs) or ours[1:] != theirs[1:]:
            return
        found.add(theirs[0] * len(spec.scheme) / ours[0])
    if len(found) == 1 and (classes := found.pop()).is_integer():
        fitting = [
            s.name for s in registry.networks() if s.family == spec.family and len(s.scheme) == classes
        ]
        hint = f"; use {' or '.join(fitting)}" if fitting else ""
        raise WeightsError(
            f"{origin} has {int(classes)} classes, but {spec.name} has "
            f"{len(spec.scheme)} ({spec.scheme_key}){hint}"
        )


def _listing(title: str, keys: list[str], limit: int = 12) -> str:
    if not keys:
        return ""
    more = f"\n    and {len(keys) - limit} more" if len(keys) > limit else ""
    return f"  {title} ({len(keys)}):\n    " + "\n    ".join(keys[:limit]) + more + "\n"
