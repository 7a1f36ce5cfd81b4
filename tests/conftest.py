"""What tests of several modules share: which are slow, and a Ray cluster where a module asks for it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import s3
import torch
from golden import FULL, Case

for _name in ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE"):
    os.environ.pop(_name, None)  # a test that is about offline mode sets it itself

if _workers := os.environ.get(
    "PYTEST_XDIST_WORKER_COUNT"
):  # they share the cores, and so do the processes that they start
    _threads = max(1, (os.cpu_count() or 1) // int(_workers))
    os.environ["OMP_NUM_THREADS"] = str(_threads)
    torch.set_num_threads(_threads)

_SYSTEMS = {"posix": os.name == "posix", "linux": sys.platform == "linux"}
_WHOLE_NETWORKS = ("test_schp_parity.py", "test_ce2p_parity.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark recordings of whole networks that are not in the repository as slow; skip what a system lacks."""
    for item in items:
        given = getattr(item, "callspec", None)
        case = None if given is None else given.params.get("case")
        if isinstance(case, Case) and case.root == FULL and item.path.name in _WHOLE_NETWORKS:
            item.add_marker(pytest.mark.slow)
        for marker, here in _SYSTEMS.items():
            if not here and item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=f"needs {marker}"))


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster with two CPUs; workers compute with one thread, so that two fit on any machine."""
    ray = pytest.importorskip("ray")
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    signal.signal(signal.SIGTERM, handler)  # which Ray takes
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bucket() -> Iterator[s3.Bucket]:
    """A bucket of a server on this machine."""
    for name in ("s3fs", "moto"):
        pytest.importorskip(name)
    with s3.entered() as bucket:
        yield bucket


@pytest.fixture
def too_large(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Lets the network fail on batches with a photo that has this side (0 is the height) of this length."""
    from humanparse.pipelines.semantic import Fitted, Semantic

    real = Semantic.start

    def fail_on(side: int, length: int) -> None:
        def picky(pipeline: Semantic, batch: list[Fitted], **options: Any) -> Any:
            if any(one.frame.image_size[side] == length for one in batch):
                raise MemoryError("too large")
            return real(pipeline, batch, **options)

        monkeypatch.setattr(Semantic, "start", picky)

    return fail_on
