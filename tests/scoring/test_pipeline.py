"""Readers ahead of the network: bounded, batched, and the same whoever reads."""

import threading
import time

import numpy as np
import pytest
from support.scoring import DEADLY, load, run, write_scan

from napari_resonance.errors import ExportError, ModelError
from napari_resonance.progress import never
from napari_resonance.scoring.journal import FILE_NAME, Journal, Task
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.pipeline import BatchSize, Pipeline, Stages
from napari_resonance.scoring.plan import find
from napari_resonance.scoring.preparing import Job, content_of, prepared
from napari_resonance.scoring.readers import _Bytes


def tried(cost, runs=20):
    """Return which size is settled on if a run of n inputs takes cost(n) seconds."""
    batch = BatchSize()
    for _ in range(runs):
        batch.ran(batch.size, cost(batch.size))
    return batch.size


def test_a_batch_grows_as_long_as_that_pays():
    assert tried(lambda n: 1 + 0.01 * n) == 16
    assert tried(float) == 1
    assert tried(lambda n: max(4.0, n)) == 4


def test_the_first_run_of_a_size_does_not_count():
    batch = BatchSize()
    for seconds in (1.0, 1.0, 50.0, 1.1):
        batch.ran(batch.size, seconds)
    assert batch.size == 4


def test_memory_that_waits_is_bounded():
    waiting = _Bytes(100, at_most=64)
    waiting.take(300)  # however large: alone
    second = threading.Thread(target=waiting.take, args=(10,))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    waiting.give(300)
    second.join(5)
    assert not second.is_alive()


def test_the_number_that_waits_is_bounded_too():
    waiting = _Bytes(10**9, at_most=64)
    for _ in range(64):
        waiting.take(1)
    late = threading.Thread(target=waiting.take, args=(1,))
    late.start()
    late.join(0.05)
    assert late.is_alive()
    waiting.give(1)
    late.join(5)
    assert not late.is_alive()


def test_busy_is_a_share_of_the_time_of_all_readers():
    stages = Stages(read=4, prepare=2, network=9.7, write=0.1, wall=10, readers=2)
    assert str(stages) == (
        "read 20% busy, prepare 10% busy, network 97% busy, write 1% busy"
    )


def test_copies_have_one_hash_and_other_places_another(tmp_path):
    from dataclasses import replace

    from napari_resonance import read_scan

    scan = read_scan(write_scan(tmp_path / "a.nii", 10))
    copy = read_scan(write_scan(tmp_path / "copy/b.nii.gz", 10))
    moved = replace(scan, affine=scan.affine + np.eye(4)[:, [3, 0, 1, 2]] * 0)
    shifted = scan.affine.copy()
    shifted[0, 3] += 1
    assert content_of(scan) == content_of(copy) == content_of(moved)
    assert content_of(replace(scan, affine=shifted)) != content_of(scan)


class Fussy:
    """A model whose network fails on one value, and with it every batch it is in."""

    def __init__(self, stub):
        self._stub = stub

    def __getattr__(self, name):
        return getattr(self._stub, name)

    def run(self, array):
        if (array == 13).any():
            raise ModelError("the network answered with values that are not finite")
        return self._stub.run(array)


class AtOnce:
    """A source of which all is there at once."""

    def __init__(self, messages):
        self.lost = []
        self._messages = messages
        self.is_done = False
        self.let_go = 0

    def messages(self, *, wait):
        found, self._messages = self._messages, []
        self.is_done = not found
        return found

    def used(self, message):
        self.let_go += 1

    def close(self):
        """End nothing."""


def test_one_input_that_breaks_a_batch_fails_alone(tmp_path):
    for n in range(10, 18):
        write_scan(tmp_path / f"in/{n}.nii", n)
    scorer = Fussy(load("stub", "cpu"))
    items = find([tmp_path / "in"], tmp_path / "out").items
    source = AtOnce([m for i in items for m in prepared(Job(((i, (0,)),)), [scorer])])
    journal = Journal(tmp_path / FILE_NAME)
    pipeline = Pipeline([scorer], journal, "options", lambda result: None)
    # Grown already, so that the bad one is among others.
    shape = (1, 1, 2, 2, 2)
    pipeline._sizes[0, shape] = BatchSize(size=4)
    pipeline.run(source, never)
    states = {i.source: journal.states("stub", "options")[i.key][0] for i in items}
    journal.close()
    assert states.pop("13.nii") == "failed"
    assert set(states.values()) == {"scored"}
    assert len(states) == 7
    assert source.let_go == 8


def test_a_voxel_free_scan_reaches_the_network(tmp_path):
    write_scan(tmp_path / "a.nii", 10)
    (item,) = find([tmp_path], tmp_path / "out").items
    (ready,) = prepared(Job(((item, (0,)),)), [load("stub", "cpu")])
    assert ready.case.scan.voxels.size == 1
    assert ready.n_bytes == 32


def test_what_a_run_ended_over_is_read_apart_once_and_then_left(tmp_path):
    """The journal says that a scan was begun and never ended, as after a crash."""
    studies, out = tmp_path / "in", tmp_path / "out"
    write_scan(studies / "deadly.nii", DEADLY)
    write_scan(studies / "good.nii", 20)
    write_scan(studies / "unlucky.nii", 30)
    out.mkdir()
    journal = Journal(out / FILE_NAME)
    options = ScoreOptions(readers=0)
    keys = {i.source: i.key for i in find([studies], out).items}
    journal.begin(
        Task(keys[name], "stub", options.sha256)
        for name in ("deadly.nii", "unlucky.nii")
    )
    journal.close()
    summary = run(studies, out)
    assert (summary.scored, summary.failed, summary.resumed) == (2, 1, 0)
    started = time.perf_counter()
    assert run(studies, out).resumed == 3
    assert time.perf_counter() - started < 30


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_read(tmp_path):
    write_scan(tmp_path / "in/a.nii", 10)
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(ExportError, match="cannot be written"):
        run(tmp_path / "in", tmp_path / "out")
