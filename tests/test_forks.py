"""Worker processes that are forked return, or say how to start them otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from humanparse import DeviceError
from humanparse.ops import forks
from humanparse.runtimes import placement

ROOT = Path(__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

BEGIN = """
import multiprocessing, os, sys
import numpy as np, torch
torch.set_num_threads(3)
from PIL import Image
X = np.asarray(Image.open("examples/astronaut.png").convert("RGB"))[:300, :300]
fork = multiprocessing.get_context("fork")

def fresh(photo, threads=None):
    from humanparse import Parser
    if threads:
        torch.set_num_threads(threads)
    found = Parser(device="cpu", **options).predict(photo)
    return found, torch.get_num_threads()

options = {}
"""


def python(script: str, *, runtime: str = "torch", limit: float = 300) -> str:
    """What a script prints that has loaded torch and, as `P`, a parser that was used in the parent."""
    begin = BEGIN.replace("options = {}", f"options = {{'runtime': {runtime!r}}}")
    command = [sys.executable, "-c", begin + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PARENT = """
from humanparse import Parser
P = Parser(device="cpu", **options)
expected = P.predict(X)
"""


@needs_fork
@pytest.mark.parametrize(
    "script",
    [
        "print(fork.Pool(1).apply(P.predict, (X,)) == expected)",
        "print(fork.Pool(1).apply(fresh, (X,)) == (expected, 1))",
        "print(fork.Pool(1).apply(fresh, (X, 3)) == (expected, 1))",
        "print(fork.Pool(2).map(P.predict, [X, X]) == [expected] * 2)",
        """
def many(photos):
    return [(found.labels == expected.labels).mean() > 0.9999 for found in P.predict_many(photos)]
print(all(fork.Pool(1).apply(many, ([X] * 5,))))""",
        """
def people(photo):
    return len(P.predict(photo, people=[[0, 0, 200, 300], [100, 0, 300, 300]]).people)
print(fork.Pool(1).apply(people, (X,)) == 2)""",
        """
class Photos(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, number):
        return torch.from_numpy(P.predict(X).labels)
loader = torch.utils.data.DataLoader(Photos(), batch_size=None, num_workers=2, multiprocessing_context="fork")
print(all((labels.numpy() == expected.labels).all() for labels in loader))""",
        """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1, mp_context=fork) as pool:
    print(pool.submit(P.predict, X).result() == expected)""",
        """
child = os.fork()
if not child:
    os._exit(P.predict(X) != expected)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)""",
        """
def nested(photo):
    child = os.fork()
    if not child:
        os._exit(P.predict(photo) != expected)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and P.predict(photo) == expected
process = fork.Process(target=lambda: os._exit(not nested(X)))
process.start()
process.join()
print(process.exitcode == 0)""",
        """
import threading
def in_a_thread(photo):
    found = []
    thread = threading.Thread(target=lambda: found.append(P.predict(photo)))
    thread.start()
    thread.join()
    return found == [expected] and P.predict(photo) == expected
print(fork.Pool(1).apply(in_a_thread, (X,)))""",
    ],
    ids=[
        *("its parser", "a parser of its own", "threads asked for", "two workers", "predict_many", "people"),
        *("DataLoader", "executor", "os.fork", "a fork in a fork", "a thread of the worker"),
    ],
)
def test_a_forked_worker_gives_its_parents_labels(script: str) -> None:
    assert python(PARENT + script) == "True"


@needs_fork
def test_a_worker_whose_parent_used_torch_alone_returns() -> None:
    script = """
x = torch.rand(2000, 2000)
x @ torch.relu(x)
found, threads = fork.Pool(1).apply(fresh, (X,))
print(found.size, threads)"""
    assert python(script) == "(300, 300) 1"


@needs_fork
def test_threads_that_a_worker_sets_are_kept_where_its_parent_computed_nothing() -> None:
    script = """
import humanparse
found, threads = fork.Pool(1).apply(fresh, (X, 2))
print(found.size, threads)"""
    assert python(script) == "(300, 300) 2"


@needs_fork
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_other_runtimes_name_the_way_out_and_work_in_a_parser_of_the_workers_own(runtime: str) -> None:
    pytest.importorskip(runtime)
    script = """
def inherited(photo):
    try:
        P.predict(photo)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(fork.Pool(1).apply(inherited, (X,)))
print(fork.Pool(1).apply(fresh, (X,))[0] == expected)
print(fork.Pool(1).apply(P.predict, (X,)) == expected)
sys.stdout.flush()
os._exit(0)"""
    said, own, handed_over = python(PARENT + script, runtime=runtime).splitlines()
    assert said.startswith("DeviceError: this Parser with runtime") and 'get_context("spawn")' in said
    assert (own, handed_over) == ("True", "True")


@needs_fork
def test_parsings_that_were_begun_before_a_fork_name_the_way_out() -> None:
    script = """
parsings = P.predict_many([X] * 50, batch_size=2)
next(parsings)
def rest(_):
    try:
        return len(list(parsings))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(fork.Pool(1).apply(rest, (0,)))"""
    said = python(PARENT + script)
    assert said.startswith("DeviceError: this iterator") and 'get_context("spawn")' in said


def test_spawned_workers_take_parsers_of_every_runtime(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import multiprocessing
import numpy as np
from humanparse import Parser
if __name__ == "__main__":
    photo = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for runtime in ("torch", "onnxruntime", "openvino"):
            parser = Parser(device="cpu", runtime=runtime)
            print(pool.apply(parser.predict, (photo,)) == parser.predict(photo))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.split() == ["True"] * 3


def test_this_process_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    forks.settle_after_fork()
    assert torch.get_num_threads() == before
    forks.check_process(os.getpid(), "this")


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_cuda_in_a_forked_process_names_the_way_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match=r'get_context\("spawn"\)'):
        placement.choose_device(name)
    assert placement.choose_device("cpu").type == "cpu"
