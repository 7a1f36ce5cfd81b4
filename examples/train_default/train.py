"""Train humanparse's bundled model `lite-atr`: one command from folders of photos to weights and card.

python examples/train_default/train.py --data CCP --grounds NO_PEOPLE --out humanparse/weights --work DIR
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import score
import torch
import torch.nn.functional as F
import typer
from augment import canvas
from card import publish
from imagenet import SIZES, build
from photos import (
    CLASSES,
    IGNORE,
    Array,
    Photo,
    class_weights,
    counts,
    load,
    load_grounds,
    load_tagged,
    photo_odds,
)
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file
from targets import people_targets
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

MEAN, STD = score.MEAN, score.STD
# (height, width), pictures per batch, share of batches; whole people stand upright, so do most canvases.
EARLY = (((320, 224), 16, 0.6), ((256, 256), 16, 0.25), ((224, 320), 16, 0.15))
LATE = (  # about what Parser shows the network: the last four when it looks for people
    ((480, 320), 6, 0.26),
    ((384, 384), 6, 0.20),
    ((320, 480), 6, 0.08),
    ((640, 416), 4, 0.12),
    ((416, 640), 4, 0.10),
    ((768, 512), 3, 0.12),
    ((512, 768), 3, 0.12),
)
Batch = tuple[Tensor, Tensor, Tensor]
Key = tuple[int, int, tuple[int, int]]  # the run's nth picture, which photo, canvas size


@dataclass(frozen=True)
class Plan:
    """What decides the result. Length is `minutes` of training where given, else `epochs` photos' worth."""

    epochs: float = 150
    minutes: float | None = None
    seed: int = 1
    size: str = "lite0"
    rate: float = 2e-3
    encoder_rate: float = 0.3  # of `rate`
    frozen: int = 2  # stages of the encoder that keep ImageNet's weights, with the stem
    decay: float = 0.05
    warmup: int = 200
    ema: float = 0.998
    tagged: float = 0.75  # how often a photo is drawn whose labels are a network's
    people: float = 0.3  # weight of the people's loss
    late: float = 0.6  # share of the run after which canvases are as large as at inference
    only_people: bool = False  # everything but the people's head is frozen
    shapes: tuple[Any, Any] = (EARLY, LATE)

    @property
    def length(self) -> str:
        """As on the command line."""
        return f"--minutes {self.minutes:g}" if self.minutes is not None else f"--epochs {self.epochs:g}"


@dataclass
class State:
    """What a checkpoint holds beside tensors: where the run is."""

    step: int = 0
    seen: int = 0  # pictures
    seconds: float = 0.0  # spent training, over all starts
    starts: tuple[str, ...] = ()  # the options of each start that changed data or length


class Canvases(Dataset[Batch]):
    """Key -> example; the same key gives the same canvas in any process."""

    def __init__(self, photos: list[Photo], grounds: list[Array], seed: int) -> None:
        self.photos, self.grounds, self.seed = photos, grounds, seed

    def __getitem__(self, key: Key) -> Batch:
        """(RGB uint8 (h, w, 3), labels uint8 (h/2, w/2), people's targets float32 (4, h/4, w/4))."""
        nth, which, size = key
        rng = np.random.default_rng((self.seed, nth))
        image, labels, who = canvas(rng, self.photos[which], self.photos, self.grounds, size)
        return torch.from_numpy(image), torch.from_numpy(labels), torch.from_numpy(people_targets(who))


def batches(plan: Plan, state: State, odds: np.ndarray, progress: Callable[[], float]) -> Iterator[list[Key]]:
    """Endless batches from `state` on; a batch depends on its step and on `progress()` alone."""
    step, seen = state.step, state.seen
    while True:
        rng = np.random.default_rng((plan.seed, 7, step))
        shapes = plan.shapes[progress() >= plan.late]
        size, many, _ = shapes[rng.choice(len(shapes), p=[share for *_, share in shapes])]
        which = rng.choice(len(odds), many, p=odds)
        yield [(seen + i, int(w), size) for i, w in enumerate(which)]
        step, seen = step + 1, seen + many


def mean_of(files: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights of several runs (model soups, arXiv:2203.05482)."""
    states = [load_file(file) for file in files]
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}


def loss_of(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Class-weighted cross-entropy plus soft Dice over the classes that the batch shows.

    `logits` (B, C, h, w) any float, `labels` (B, h, w) uint8 with 255 = ignore.
    """
    target = labels.long()
    log = logits.float().log_softmax(1)
    entropy = F.nll_loss(log, target, weights, ignore_index=IGNORE)
    known = target != IGNORE
    chance = log.exp() * known[:, None]  # (B, C, h, w)
    truth = torch.bincount(target[known], minlength=CLASSES).float()  # (C,)
    right = chance.gather(1, target.clamp(max=CLASSES - 1)[:, None]).squeeze(1)
    shared = torch.zeros_like(truth).index_add(0, target[known], right[known])
    dice = (2 * shared + 1) / (chance.sum((0, 2, 3)) + truth + 1)
    return entropy + (1 - dice[truth > 0]).mean()


def people_loss(people: Tensor, targets: Tensor) -> Tensor:
    """Focal loss of the centre map (CornerNet, arXiv:1808.01244) plus the mean distance of the offsets.

    `people` (B, 3, h, w) as `Lite.with_people` gives it, `targets` (B, 4, h, w) of `people_targets`.
    """
    heat, weight = targets[:, 0], targets[:, 3]
    logit = people[:, 0].float().clamp(-12, 12)
    chance, peak = logit.sigmoid(), heat > 0.999
    right = F.logsigmoid(logit) * (1 - chance) ** 2
    wrong = F.logsigmoid(-logit) * chance**2 * (1 - heat) ** 4
    focal = -torch.where(peak, right, wrong).sum() / peak.sum().clamp(min=1)
    apart = F.smooth_l1_loss(people[:, 1:].float(), targets[:, 1:3], reduction="none", beta=0.25).sum(1)
    return focal + 2 * (apart * weight).sum() / weight.sum().clamp(min=1)


class Trainer:
    """The network, its average, the optimiser and where the run is."""

    def __init__(
        self,
        plan: Plan,
        photos: list[Photo],
        grounds: list[Array],
        work: Path,
        device: str = "cpu",
        workers: int = 1,
        bf16: bool = True,
        start: Sequence[Path] = (),
        tagged: int = 0,
    ) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.photos, self.grounds = plan, photos, grounds
        self.device, self.workers, self.bf16, self.tagged = device, workers, bf16, tagged
        self.checkpoint = work / "checkpoint.pt"
        work.mkdir(parents=True, exist_ok=True)
        counted = counts(photos)
        self.odds = photo_odds(counted)
        if tagged:  # the last ones, labelled by a network
            self.odds[-tagged:] *= plan.tagged
            self.odds /= self.odds.sum()
        self.weights = torch.from_numpy(class_weights(counted)).to(device)
        self.net = build(plan.size, pretrained=not start and not self.checkpoint.exists())
        if start:
            self.net.load_state_dict(mean_of(start), strict=False)  # all but the norms' step counters
        self.net.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        encoder, heads = self.net.encoder, (self.net.people8, self.net.people4, self.net.people_head)
        self.frozen = [encoder.stem, *encoder.stages[: plan.frozen]]
        if plan.only_people:
            self.frozen = [module for module in self.net.children() if module not in heads]
        for module in self.frozen:
            module.requires_grad_(False)
        inside = {id(p) for p in encoder.parameters()}
        learning = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {
                "params": [
                    p for p in learning if (p.ndim > 1) == matrices and (id(p) in inside) == pretrained
                ],
                "weight_decay": plan.decay if matrices else 0.0,
                "share": plan.encoder_rate if pretrained else 1.0,
            }
            for matrices in (True, False)
            for pretrained in (True, False)
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.rate)
        self.state = State()
        if self.checkpoint.exists():
            self.restore()
        data = "--tagged TAGGED --pseudo LABELS " if tagged else ""
        alone = "--only-people " if plan.only_people else ""
        begins = "".join(f"--start FIRST{number or ''} " for number in range(len(start)))
        begun = begins + data + alone + plan.length
        if self.state.starts[-1:] != (begun,):
            self.state = replace(self.state, starts=(*self.state.starts, begun))

    def restore(self) -> None:
        """Go on from the checkpoint."""
        kept = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.net.load_state_dict(kept["net"])
        self.average.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.state = State(**kept["state"])

    def save(self) -> None:
        """Write the checkpoint beside, then rename: a kill leaves the old one or the new one."""
        part = self.checkpoint.with_suffix(".part")
        kept = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimiser")}
        torch.save(kept | {"state": vars(self.state)}, part)
        os.replace(part, self.checkpoint)

    def progress(self) -> float:
        """The share of the run that is done, 0 to 1."""
        if self.plan.minutes is None:
            done, length = self.state.seen / len(self.photos), self.plan.epochs
        else:
            done, length = self.state.seconds / 60, self.plan.minutes
        return min(1.0, done / length) if length else 1.0

    def run(self, steps: int | None = None) -> Iterator[float]:
        """Train to the end of the plan, or for `steps`; yields each step's loss."""
        sampler: Any = batches(self.plan, self.state, self.odds, self.progress)
        loader: DataLoader[Batch] = DataLoader(
            Canvases(self.photos, self.grounds, self.plan.seed),
            batch_sampler=sampler,
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            pin_memory=self.device == "cuda",
        )
        clock = time.perf_counter()
        for done, (images, labels, people) in enumerate(loader, start=1):
            loss = self.step(images, labels, people)
            now = time.perf_counter()
            self.state = replace(
                self.state,
                step=self.state.step + 1,
                seen=self.state.seen + len(images),
                seconds=self.state.seconds + now - clock,
            )
            yield loss
            clock = time.perf_counter()  # the caller's evaluation is not training time
            if self.progress() >= 1 or done == steps:
                return

    def step(self, images: Tensor, labels: Tensor, people: Tensor) -> float:
        """One batch: RGB uint8 (B, h, w, 3), labels uint8 (B, h/2, w/2), targets (B, 4, h/4, w/4)."""
        warm = min(1.0, (self.state.step + 1) / self.plan.warmup)
        rate = self.plan.rate * warm * (0.005 + 0.995 * (1 + math.cos(math.pi * self.progress())) / 2)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.net.train()
        for module in self.frozen:
            module.eval()
        batch = ((images.to(self.device).float() - MEAN) / STD).permute(0, 3, 1, 2)  # channels last
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            logits, found = self.net.with_people(batch)
        loss = loss_of(logits, labels.to(self.device), self.weights)
        loss = loss + self.plan.people * people_loss(found, people.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 3.0)
        self.optimiser.step()
        self.follow()
        return float(loss.detach())

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the network, faster in the beginning."""
        keep = min(self.plan.ema, (1 + self.state.step) / (10 + self.state.step))
        kept, new = self.average.state_dict(), self.net.state_dict()
        floats = [name for name, value in kept.items() if value.is_floating_point()]
        torch._foreach_lerp_([kept[n] for n in floats], [new[n] for n in floats], 1 - keep)


def main(
    data: Annotated[Path, typer.Option(help="The CCP-ATR folder: images/, labels_atr/, labels_ccp/.")],
    grounds: Annotated[Path, typer.Option(help="Photos without people: places/, garments/.")],
    out: Annotated[Path, typer.Option(help="Where lite-atr.safetensors and lite-atr.md go.")],
    work: Annotated[Path, typer.Option(help="Checkpoint, log, sample pictures; start again to resume.")],
    size: Annotated[str, typer.Option(help=f"The encoder: {', '.join(SIZES)}.")] = "lite0",
    start: Annotated[
        list[Path] | None, typer.Option(help="Weights to begin with instead of ImageNet's; or their mean.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    epochs: Annotated[float, typer.Option(help="Length: pictures drawn per training photo.")] = 150,
    minutes: Annotated[float | None, typer.Option(help="Length in minutes of training instead.")] = None,
    seed: int = 1,
    device: str = "cpu",
    threads: Annotated[int, typer.Option(help="torch threads; 0 leaves them alone.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that make canvases.")] = 1,
    tagged: Annotated[Path | None, typer.Option(help="Photos that pseudo.py labelled: images/.")] = None,
    pseudo: Annotated[Path | None, typer.Option(help="Their labels, as pseudo.py wrote them.")] = None,
    bf16: Annotated[bool, typer.Option(help="Compute in bfloat16; slower on CPUs without it.")] = True,
    late: Annotated[float, typer.Option(help="Share of the run after which canvases are large.")] = 0.6,
    only_people: Annotated[
        bool, typer.Option("--only-people", help="Train the people's head alone, and keep all else.")
    ] = False,
    every: Annotated[int, typer.Option(help="Steps between evaluations, each of which writes --out.")] = 600,
) -> None:
    """Train, evaluate, export."""
    cv2.setNumThreads(0)  # OpenCV's thread pool does not survive the fork into workers
    if threads:
        torch.set_num_threads(threads)
    if (tagged is None) != (pseudo is None):
        raise typer.BadParameter("--tagged names the photos and --pseudo their labels: give both or neither")
    if only_people and not start:
        raise typer.BadParameter("--only-people trains the head of finished weights: name them with --start")
    console = Console()
    training, validation = load(data, pseudo and pseudo / "others")
    empty, _ = load_grounds(grounds)
    more = load_tagged(tagged / "images", pseudo / "tagged") if tagged and pseudo else []
    plan = Plan(epochs, minutes, seed, size, rate, late=late, only_people=only_people)
    trainer = Trainer(plan, training + more, empty, work, device, workers, bf16, start or (), len(more))
    console.print(
        f"{len(training)} + {len(more)} photos to train on, {len(validation)} to validate, "
        f"{len(empty)} without people; step {trainer.state.step}"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=1.0)
        recent = math.nan
        for loss in trainer.run() if trainer.progress() < 1 else ():
            recent = loss if math.isnan(recent) else 0.98 * recent + 0.02 * loss
            state = trainer.state
            said = f"step {state.step} epoch {state.seen / len(training):.1f} loss {recent:.3f}"
            bar.update(task, completed=trainer.progress(), description=said)
            if state.step % 100 == 0:
                trainer.save()
                note(work, f"{trainer.progress():.3f} {said} {state.seconds:.0f}s")
            if state.step % every == 0:
                scores = score.evaluate(trainer.average, validation, device)
                publish(out, trainer.average, scores, facts(trainer))
                note(work, f"mIoU {scores.miou:.4f} pixel accuracy {scores.accuracy:.4f}")
    trainer.save()
    scores = score.evaluate(trainer.average, validation, device, crops=True)
    publish(out, trainer.average, scores, facts(trainer))
    console.print(score.table(scores))
    score.samples(trainer.average, validation[::9], work / "samples", device)


def note(work: Path, line: str) -> None:
    """Add a line to the log."""
    with (work / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def facts(trainer: Trainer) -> dict[str, str]:
    """What the weights' metadata and the card say about the run."""
    plan, state = trainer.plan, trainer.state
    command = "python examples/train_default/train.py --data CCP --grounds NO_PEOPLE"
    command += (
        f" --rate {plan.rate:g} --late {plan.late:g} --seed {plan.seed} --out humanparse/weights --work DIR"
    )
    return {
        "epochs": f"{state.seen / len(trainer.photos):.1f}",
        "steps": str(state.step),
        "minutes": f"{state.seconds / 60:.0f}",
        "tagged": str(trainer.tagged),
        "seed": str(plan.seed),
        "finished": str(trainer.progress() >= 1),
        "command": "\n".join(f"{command} {options}" for options in state.starts),
    }


if __name__ == "__main__":
    typer.run(main)
