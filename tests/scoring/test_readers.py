"""How many scans are in memory at once, whatever the number of processes that read."""

import threading
import time
import weakref
import zipfile
from dataclasses import replace

import pytest
from support.scoring import load, run, write_scan
from support.tables import scores_of

from napari_resonance.scoring import readers
from napari_resonance.scoring.options import ScoreOptions
from napari_resonance.scoring.plan import Item, find
from napari_resonance.scoring.preparing import Ended, Job, prepared
from napari_resonance.scoring.readers import Readers

MEMORY = 3000  # of which half may be taken; reading takes 1.5 times a scan


class Process:
    """A reading process that only waits until it may go on."""

    may_go_on = threading.Event()
    at_work = most = 0
    lock = threading.Lock()

    def __init__(self, *args):
        """Take no notice of what it is to load."""

    def start(self):
        """Do nothing."""

    def ask(self, job):
        with Process.lock:
            Process.at_work += 1
            Process.most = max(Process.most, Process.at_work)
        Process.may_go_on.wait(20)
        time.sleep(0.01)  # long enough for another to begin, if it may
        with Process.lock:
            Process.at_work -= 1
        yield Ended(job.wanted[0][0].key, 0, "scored", {})

    def close(self):
        """Do nothing."""

    def kill(self):
        Process.may_go_on.set()


@pytest.fixture
def begun(monkeypatch):
    monkeypatch.setattr(readers, "Reader", Process)
    monkeypatch.setattr(readers, "available_memory", lambda: MEMORY)
    Process.at_work = Process.most = 0
    Process.may_go_on.clear()
    return []


def reading(sizes, begun, n_readers=8):
    jobs = [
        Job(((Item(f"{n}", f"{n}", (f"{n}",), n_bytes=size), (0,)),))
        for n, size in enumerate(sizes)
    ]
    options = ScoreOptions(readers=n_readers)
    return Readers(iter(jobs), None, options, lambda job: begun.append(job.n_bytes))


def all_of(source):
    ended = time.monotonic() + 20
    found = []
    while not source.is_done and time.monotonic() < ended:
        for message in source.messages(wait=True):
            source.used(message)
            found.append(message.item)
    source.close()
    return found


@pytest.mark.parametrize(
    ("size", "most"),
    [(10, 8), (250, 4), (800, 2), (10**9, 2)],
    ids=["small", "a quarter each", "two at most", "none would fit"],
)
def test_as_many_are_read_at_once_as_fit_but_always_two(begun, size, most):
    source = reading([size] * 12, begun)
    time.sleep(0.3)
    assert len(begun) == most  # the others wait, and are not begun
    Process.may_go_on.set()
    assert sorted(all_of(source), key=int) == [str(n) for n in range(12)]
    assert Process.most == most


def test_what_fits_not_even_alone_holds_up_nobody_for_ever(begun):
    Process.may_go_on.set()
    sizes = [10, 10**9, 10, 10**9, 10**9, 10, 10] * 3
    assert len(all_of(reading(sizes, begun))) == len(sizes)
    assert begun == sizes  # in their order


def test_one_reader_reads_one_at_a_time(begun):
    Process.may_go_on.set()
    assert len(all_of(reading([10] * 6, begun, n_readers=1))) == 6
    assert Process.most == 1


def test_a_run_that_ends_leaves_nobody_waiting(begun):
    source = reading([10**9] * 12, begun)
    time.sleep(0.2)
    started = time.monotonic()
    source.close()
    assert time.monotonic() - started < 5
    assert len(begun) == 2
    assert not any(thread.is_alive() for thread in source._threads)


class Counting:
    """A model that knows how many of its scans are still there."""

    def __init__(self):
        self._stub = load("stub", "cpu")
        self._scans = []
        self.there = []

    def __getattr__(self, name):
        return getattr(self._stub, name)

    def prepare(self, scan, **options):
        self._scans.append(weakref.ref(scan))
        self.there.append(sum(known() is not None for known in self._scans))
        return self._stub.prepare(scan, **options)


@pytest.fixture
def archive(tmp_path):
    """A zip archive of five scans, the third of which is damaged."""
    studies = tmp_path / "studies"
    studies.mkdir()
    with zipfile.ZipFile(studies / "all.zip", "w") as to:
        for n in range(5):
            path = write_scan(tmp_path / f"{n}.nii.gz", 10 * n)
            content = bytearray(path.read_bytes())
            if n == 2:
                content[len(content) // 2] ^= 255
            to.writestr(f"{n}/scan.nii.gz", bytes(content))
    return studies


def test_of_an_archive_one_scan_at_a_time_is_in_memory(archive, tmp_path):
    items = [i for i in find([archive], tmp_path / "out").items if not i.refused]
    scorer = Counting()
    job = Job(tuple((item, (0,)) for item in items))
    ready = list(prepared(job, [scorer]))
    assert [one.item for one in ready] == [item.key for item in items]
    assert [one.case.network_input.array.mean() for one in ready] == [0, 10, 30, 40]
    assert scorer.there == [1, 1, 1, 1]


def test_of_an_archive_only_what_is_wanted_is_read(archive, tmp_path):
    items = find([archive], tmp_path / "out").items
    scorer = Counting()
    (ready,) = prepared(Job(((items[2], (0,)),)), [scorer])
    assert ready.case.network_input.array.mean() == 30
    assert scorer.there == [1]


def test_a_damaged_scan_of_an_archive_costs_no_other(archive, tmp_path):
    summary = run(archive, tmp_path / "out", readers=2)
    assert (summary.scored, summary.failed) == (4, 1)
    rows = scores_of(tmp_path / "out")
    (failed,) = [row for row in rows if row["error"]]
    assert "2/scan.nii.gz" in failed["source"]


def test_several_regions_of_a_scan_are_one_reading(tmp_path):
    write_scan(tmp_path / "a.nii", 10)
    (item,) = find([tmp_path / "a.nii"], tmp_path / "out").items
    regions = [replace(item, key=f"{n}", center_mm=(n, 0.0, 0.0)) for n in range(3)]
    scorer = Counting()
    ready = list(prepared(Job(tuple((r, (0,)) for r in regions)), [scorer]))
    assert [one.case.center_mm for one in ready] == [r.center_mm for r in regions]
    assert scorer.there == [1, 2, 3]  # of one scan
