"""The workers of a run: how many, of what size, on which cluster."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import BulkError
from ...pipelines.lanes import shares
from ...remote import is_remote
from ..items import JournalRow, Outcome
from ..job import Engine, Job, RunOptions
from ..labeller import Labeller
from ..pipeline import default_workers
from ..settings import revision_of, weights_hashes
from ..video import VideoSource
from .engine import WorkerPool
from .worker import Task, Worker

if TYPE_CHECKING:
    from ...parser import Parser


@dataclass(frozen=True)
class Cluster:
    """Runs `label` on Ray: `bulk.label(source, dest, engine=Cluster())`.

    Journal and lock stay with the process that calls `label`; each worker, an actor with its own model,
    reads, parses and writes batches of inputs. So all machines must reach source and destination under the
    same names, in remote storage (`s3://…`) or on a network file system, and humanparse must be installed on
    all of them. Credentials for remote storage come from the environment of each machine.

    Outputs have the same bytes as with the local engine: batches are the same, and a worker computes as this
    process would, on the same kind of device, in the same precision, with as many threads for each photo.
    (Their number affects how float sums are rounded. For workers with few threads, set `OMP_NUM_THREADS`,
    also for local runs to compare with.) On a mixed cluster, last bits may differ between machines.

    A worker that dies, alone or with its machine, is replaced, and another worker gets its inputs. An input
    that kills several workers fails, and its reason says so.

    Attributes:
        address: address of a cluster, as for `ray.init`. None: that of `RAY_ADDRESS`; without it, a cluster
            that runs on this machine, or else a new one for this run.
        concurrency: number of workers; None: as many as the cluster has room for now. With a number, the run
            also waits for machines that join later.
        gpus_per_worker: GPUs of each worker; with a fraction, workers share one. None: 1 if the model runs on
            a GPU, else 0.
    """

    address: str | None = None
    concurrency: int | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise BulkError(f"`concurrency` takes a number of workers from 1 on, not {self.concurrency}")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise BulkError(f"`gpus_per_worker` takes 0 or more, not {self.gpus_per_worker}")
        import_ray()  # raise its error before the run starts

    def __call__(self, job: Job, labeller: Labeller, options: RunOptions) -> Engine:
        """The engine of one run."""
        if isinstance(job.source, VideoSource) and job.source.copied is not None:
            raise BulkError(
                "a video in a bucket is copied to one machine, which the workers may not reach; label it "
                "without Ray, or put it on a disk that all machines share"
            )
        gpus = self._gpus(labeller.parser)
        task = _task(job, labeller, options)

        def work(batches: Iterable[list[JournalRow]]) -> Iterator[list[Outcome]]:
            remaining = iter(batches)
            first = next(remaining, None)
            if first is None:
                return
            with connected(self.address) as ray:
                count, share = workers_for(ray, self.concurrency, gpus, task.threads)
                hired = ray.remote(Worker).options(
                    num_cpus=share, num_gpus=gpus, max_concurrency=task.depth, max_restarts=0
                )
                pool = WorkerPool(ray, labeller, lambda: hired.remote(task), count, task.depth)
                yield from pool.work(chain([first], remaining), options.stopping)

        return work

    def _gpus(self, parser: Parser) -> float:
        """GPUs of each worker."""
        on_gpu = parser.device.type == "cuda"
        gpus = float(on_gpu) if self.gpus_per_worker is None else self.gpus_per_worker
        if gpus and not on_gpu:
            raise BulkError(
                f"the model runs on {parser.device} here, and workers do as this machine does; begin the run "
                "on a machine with a GPU, or leave `gpus_per_worker` out"
            )
        if on_gpu and not gpus:
            raise BulkError("a worker without a GPU cannot run the model on one; take `device='cpu'`")
        return gpus


def _task(job: Job, labeller: Labeller, options: RunOptions) -> Task:
    parser = labeller.parser
    model = replace(job.model, device=parser.device.type, precision=parser.precision, runtime=parser.runtime)
    return Task(
        model=model,
        weights={**weights_hashes(parser), **revision_of(parser)},
        source=job.source,
        settings=labeller.settings,
        dest=job.dest if is_remote(str(job.dest)) else Path(job.dest),
        state=None if options.journal or is_remote(str(job.dest)) else labeller.state,
        folder=Path.cwd(),
        threads=shares(labeller.pipeline.small, parser.device)[1],  # as in a local run
        files=options.workers or default_workers(),
    )


def workers_for(
    ray: Any, concurrency: int | None, gpus: float, threads: int, *, beside: bool = False
) -> tuple[int, float]:
    """How many workers, and how many CPUs each of them reserves.

    Args:
        ray: the module, connected.
        concurrency: requested number of workers; None: as many as there is room for.
        gpus: GPUs of each worker.
        threads: threads of each worker on a CPU. It reserves as many CPUs, or fewer if the requested workers
            would not fit.
        beside: leave half of the CPUs to others.

    Raises:
        BulkError: the cluster has no room for a worker.
    """
    there = ray.cluster_resources()
    cpus = int(there.get("CPU", 0)) // (2 if beside else 1)
    if gpus:
        count = concurrency or int(there.get("GPU", 0) / gpus)
        if not count:
            raise BulkError(
                f"this Ray cluster has {there.get('GPU', 0):g} GPUs, and a worker takes {gpus:g}; let "
                "workers share one (`gpus_per_worker=0.5`), take `device='cpu'`, or wait with `concurrency`"
            )
        return count, min(1.0, cpus / count)
    if not (cpus or concurrency):
        raise BulkError(
            f"this Ray cluster has {there.get('CPU', 0):g} CPUs, too few for a worker; give it more, or give "
            "`concurrency` to wait for them"
        )
    count = concurrency or max(1, cpus // threads)
    return count, min(threads, max(1, cpus // count))


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Yield `ray`, connected; then close the connection, and stop a cluster that was started here."""
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BulkError(
            f"cannot connect to a Ray cluster at {address or 'RAY_ADDRESS, or start one'} ({error}); check "
            "that it runs (ray status) and that its version is that of this machine"
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray replaces the handler of `label`
    try:
        yield ray
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """Import `ray`.

    Raises:
        BulkError: it is not installed; the message names the extra.
    """
    try:
        import ray
    except ImportError as error:
        raise BulkError(
            f'Ray is not there ({error}); install it with pip install "humanparse[ray]"'
        ) from error
    return ray
