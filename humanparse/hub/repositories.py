"""The record of a model in a Hugging Face repository, `hf:owner/name` or `hf:owner/name@revision`.

On first use the commit of the revision is recorded, with the hashes of the weights and of the files that
describe the model. Later calls use that commit, and need no network if all files are here.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from hashlib import sha1, sha256
from pathlib import Path
from urllib.parse import quote

from ..durable import replacing
from ..errors import ModelError, UnreachableError, WeightsError
from ..registry import ModelSpec, Source, WeightFile, pretrained_model
from . import huggingface
from .download import SourceError
from .environment import repository_dir
from .folders import CARD, CONFIG, MISSING, PREPROCESSOR, SHARDED, WEIGHTS, read
from .huggingface import Held
from .locking import locked

_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class _Record:
    """A revision as it was on first use."""

    commit: str
    date: str  # UTC, ISO 8601
    texts: dict[str, str]  # sha256 of the files that describe the model, by name
    weights: str
    size: int | None
    sha256: str | None


def model(name: str, *, offline: bool) -> ModelSpec:
    """The model in a repository; see `finding.find_model`."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError(f"{name!r} is not a repository; write hf:owner/name or hf:owner/name@revision")
    repo, revision = match[1], match[2] or "main"
    place = repository_dir(repo) / f"{quote(revision, safe='')}.json"
    try:
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            with locked(place):
                if not place.is_file():
                    _look(name, repo, revision, offline, place)
        record = _read_record(place)
        texts = {file: _kept(place, record, file) for file in record.texts}
    except OSError as error:
        raise WeightsError(
            f"{name}: the cache folder {place.parent} can't be used: {error}\n"
            "Make room, or set HUMANPARSE_HOME to a folder that can be written."
        ) from error
    url = f"https://huggingface.co/{repo}"
    source = Source("hf", url, repo=repo, revision=record.commit, path=record.weights)
    file = WeightFile(record.weights, (source,), record.size, record.sha256)
    config, preprocessor = (read(texts[text], text, name) for text in (CONFIG, PREPROCESSOR))
    card = huggingface.card(place.parent / record.commit / CARD) if CARD in texts else {}
    return pretrained_model(name, url, config, preprocessor, card, file)


def _read_record(place: Path) -> _Record:
    try:
        return _Record(**json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{place} is damaged, so the recorded commit is not known: {error}; delete it to record the "
            "current one"
        ) from error


def _kept(place: Path, record: _Record, file: str) -> bytes:
    """The content of a file that describes the model, checked against the record."""
    path = place.parent / record.commit / file
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content).hexdigest() != record.texts[file]:
        raise WeightsError(
            f"{path} is not the file recorded on {record.date[:10]}; delete {place} to download it again"
        )
    return content


def _look(name: str, repo: str, revision: str, offline: bool, place: Path) -> None:
    """Find the commit of a revision, download the files that describe the model, and record them."""
    try:
        found = huggingface.look(repo, CONFIG, revision, offline=offline)
        if found is None:
            raise SourceError("not in the Hugging Face cache") if offline else _lacking(name, CONFIG)
        commit = found.commit
        texts = {}
        for file in (CONFIG, PREPROCESSOR, CARD):
            content = _text(repo, file, commit, offline)
            if content is not None:
                texts[file] = content
            elif file != CARD:
                raise _lacking(name, file)
        weights, held = _weights(name, repo, commit, offline)
    except SourceError as error:
        why = "the network is off" if offline else "the hub gave no answer"
        raise UnreachableError(
            f"{name}: it was not used here before, and {why}: {error}\n"
            "Allow the network once, or download the repository and pass its folder."
        ) from error
    folder = place.parent / commit
    folder.mkdir(exist_ok=True)
    for file, content in texts.items():
        with replacing(folder / file) as part:
            part.write_bytes(content)
    record = _Record(
        commit,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        {file: sha256(content).hexdigest() for file, content in texts.items()},
        weights,
        held.size,
        held.sha256,
    )
    with replacing(place) as part:
        part.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    if not _COMMIT.fullmatch(revision):
        said = f"{name}: {revision} is commit {commit}, which is used from now on; recorded in {place}"
        warnings.warn(said, UserWarning, stacklevel=5)


def _lacking(name: str, file: str) -> ModelError:
    return ModelError(f"{name}: no {file} in this repository, {MISSING[file]}")


def _text(repo: str, file: str, commit: str, offline: bool) -> bytes | None:
    """A small file, checked against the hub's hash; None if the repository does not have it."""
    held = huggingface.look(repo, file, commit, offline=offline)
    if held is None:
        return None
    content = huggingface.text(repo, file, commit, offline=offline)
    blob = sha1(f"blob {len(content)}\0".encode() + content).hexdigest()  # as git names it
    if (held.blob or blob, held.sha256 or "") not in ((blob, ""), (blob, sha256(content).hexdigest())):
        raise SourceError(f"{file} arrived damaged")
    return content


def _weights(name: str, repo: str, commit: str, offline: bool) -> tuple[str, Held]:
    for file in WEIGHTS:
        held = huggingface.look(repo, file, commit, offline=offline)
        if held is not None:
            return file, held
    for file in WEIGHTS:
        if huggingface.look(repo, f"{file}.index.json", commit, offline=offline) is not None:
            raise ModelError(f"{name}: {SHARDED}")
    raise ModelError(f"{name}: no {' or '.join(WEIGHTS)} in this repository")
