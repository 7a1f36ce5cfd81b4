"""Ray clusters without a shared disk: bucket to bucket while nodes, and the driver, die."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3
import torch
from outputs import differing, files
from test_remote_labels import noise, rows

from humanparse import ParserOptions, bulk
from humanparse.bulk import handover
from humanparse.bulk.ray import Cluster

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.linux]

CHEAP = ParserOptions(device="cpu", test_size=(32, 48))
SETTINGS = bulk.Settings(formats=("png", "npz", "tar"), batch=2, pack_size=10)

DRIVER = """
import sys
from humanparse import ParserOptions, bulk
from humanparse.bulk.ray import Cluster
bulk.label(sys.argv[1], sys.argv[2], model=ParserOptions(device="cpu", test_size=(32, 48)),
           settings=bulk.Settings(formats=("png", "npz", "tar"), batch=2, pack_size=10),
           engine=Cluster(address=sys.argv[3], concurrency=2))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise(tmp_path_factory.mktemp("ray") / "photos", 30)


@pytest.fixture(scope="module")
def nodes(bucket: s3.Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head that only leads, and three nodes of two slots; results go through their object stores."""
    from ray.cluster_utils import Cluster as Nodes

    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANPARSE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OMP_NUM_THREADS", "1")
        config = {"max_direct_call_object_size": 100, "health_check_initial_delay_ms": 0}
        head = {"num_cpus": 0, "object_store_memory": 80_000_000, "_system_config": config}
        cluster = Nodes(initialize_head=True, head_node_args={**head, "include_dashboard": False})
        for _ in range(3):
            cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        signal.signal(signal.SIGTERM, handler)  # which Ray takes
        yield cluster
        ray.shutdown()
        cluster.shutdown()
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def source(bucket: s3.Bucket, photos: Path) -> str:
    return bucket.put_folder(photos, "photos")


@pytest.fixture(scope="module")
def expected(nodes: Any, photos: Path) -> dict[str, bytes]:
    """What an undisturbed run from disk to disk makes of them."""
    bulk.label(photos, photos.parent / "labels", model=CHEAP, settings=SETTINGS)
    return files(photos.parent / "labels")


def label(source: str, dest: str, **options: Any) -> bulk.Summary:
    how = bulk.RunOptions(resume=True, **options)
    return bulk.label(
        source, dest, model=CHEAP, settings=SETTINGS, options=how, engine=Cluster(concurrency=2)
    )


def busy_node(nodes: Any) -> Any:
    """A node on which a worker lives."""
    actors = ray._private.state.actors().values()
    at = {one["Address"]["NodeID"] for one in actors if one["State"] == "ALIVE"}
    return next(node for node in nodes.worker_nodes if node.node_id in at)


def test_a_node_that_dies_and_one_that_joins_change_no_byte(
    bucket: s3.Bucket, source: str, nodes: Any, expected: dict[str, bytes], tmp_path: Path
) -> None:
    gone: list[str] = []

    def disturb(progress: bulk.Progress) -> None:
        if progress.fresh and not gone:
            node = busy_node(nodes)
            gone.append(node.node_id)
            nodes.remove_node(node, allow_graceful=False)
            nodes.add_node(num_cpus=2, object_store_memory=80_000_000)

    done = label(source, f"s3://{s3.NAME}/nodes", progress=disturb)
    assert gone and (done.counts.done, done.counts.failed) == (30, 1)
    assert not differing(bucket.files("nodes"), expected)
    found = rows(bucket, "nodes", tmp_path)
    assert [state for _, state in found].count("done") == 30 and len(dict(found)) == len(found) == 31


def test_a_driver_that_is_killed_goes_on_on_another_machine(
    bucket: s3.Bucket,
    source: str,
    nodes: Any,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dest = f"s3://{s3.NAME}/driven"
    environment = {**os.environ, "HUMANPARSE_HOME": str(tmp_path / "first")}
    command = [sys.executable, "-c", DRIVER, source, dest, nodes.address]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as driver:
        while "driven/.humanparse/all/journal.sqlite" not in bucket.keys("driven"):
            assert driver.poll() is None
            time.sleep(0.1)
        driver.kill()
    before = sum(state == "done" for _, state in rows(bucket, "driven", tmp_path))
    assert 0 < before < 30
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "second"))
    monkeypatch.setattr(handover, "BEAT", 0.5)
    done = label(source, dest)
    assert done.counts.done == 30
    assert not differing(bucket.files("driven"), expected)
    found = rows(bucket, "driven", tmp_path)
    assert [state for _, state in found].count("done") == 30 and len(dict(found)) == len(found) == 31


def test_a_full_object_store_spills_and_the_run_goes_on(
    bucket: s3.Bucket, source: str, nodes: Any, expected: dict[str, bytes]
) -> None:
    held = [ray.put(np.zeros(10_000_000, np.uint8)) for _ in range(12)]  # more than the head's store holds
    done = label(source, f"s3://{s3.NAME}/full")
    assert len(held) == 12 and done.counts.done == 30
    assert not differing(bucket.files("full"), expected)
