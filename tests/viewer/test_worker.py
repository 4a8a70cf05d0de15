"""Work in a thread: signals in order, cancelled work, failed work, no thread left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QObject

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.viewer.job_runner import JobRunner
from napari_resonance.viewer.worker import Job, sentence_of

TIMEOUT = 60_000


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("resonance")]


def wait_for_threads(qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not threads(), timeout=TIMEOUT)


def test_progress_then_result_from_another_thread(qtbot: Any) -> None:
    def work(progress: Any, should_stop: Any) -> int:
        progress(1, 2, "half")
        return threading.get_ident()

    job = Job(work)
    seen: list[Any] = []
    job.progressed.connect(lambda *values: seen.append(values))
    job.succeeded.connect(seen.append)
    with qtbot.waitSignal(job.succeeded, timeout=TIMEOUT):
        job.start()
    assert seen[0] == (1, 2, "half")
    assert seen[1] != threading.get_ident()
    wait_for_threads(qtbot)


def test_many_messages_are_thinned_out(qtbot: Any) -> None:
    def work(progress: Any, should_stop: Any) -> None:
        for n in range(10_000):
            progress(n, 10_000, "voxel")

    job = Job(work)
    seen: list[Any] = []
    job.progressed.connect(lambda *values: seen.append(values))
    with qtbot.waitSignal(job.succeeded, timeout=TIMEOUT):
        job.start()
    assert 1 <= len(seen) < 1000


def test_a_cancelled_job_delivers_nothing(qtbot: Any) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work(progress: Any, should_stop: Any) -> str:
        started.set()
        go_on.wait()
        progress(1, 1, "late")
        return "late" if should_stop() else "never stopped"

    job = Job(work)
    seen: list[Any] = []
    for signal in (job.progressed, job.succeeded, job.failed):
        signal.connect(lambda *values: seen.append(values))
    job.start()
    started.wait()
    with qtbot.waitSignal(job.cancelled, timeout=TIMEOUT):
        job.cancel()
    go_on.set()
    wait_for_threads(qtbot)
    qtbot.wait(50)
    assert seen == []


def test_work_that_stops_itself_counts_as_cancelled(qtbot: Any) -> None:
    def work(progress: Any, should_stop: Any) -> None:
        raise CancelledError("stopped")

    job = Job(work)
    with qtbot.waitSignal(job.cancelled, timeout=TIMEOUT):
        job.start()


def test_errors_become_sentences(qtbot: Any, caplog: Any) -> None:
    error = ReadError("is not a scan", source="a.txt", remedy="Choose another")
    assert sentence_of(error) == "a.txt: is not a scan. Choose another."
    assert caplog.records == []
    assert "memory" in sentence_of(MemoryError())
    assert "ZeroDivisionError: by zero" in sentence_of(ZeroDivisionError("by zero"))
    assert caplog.records


@pytest.fixture
def runner(qtbot: Any) -> Iterator[JobRunner]:
    parent = QObject()
    yield JobRunner(parent)
    wait_for_threads(qtbot)


def test_a_runner_is_busy_until_the_end(runner: JobRunner, qtbot: Any) -> None:
    busy: list[bool] = []
    runner.busy_changed.connect(busy.append)
    results: list[Any] = []
    with qtbot.waitSignals([runner.busy_changed] * 2, timeout=TIMEOUT):
        runner.run(lambda *_: 7, results.append)
        assert runner.is_busy
    qtbot.waitUntil(lambda: results == [7], timeout=TIMEOUT)
    assert busy == [True, False]


def test_a_second_job_replaces_the_first(runner: JobRunner, qtbot: Any) -> None:
    go_on = threading.Event()
    results: list[Any] = []
    runner.run(lambda *_: go_on.wait() and 1, results.append)
    runner.run(lambda *_: 2, results.append)
    go_on.set()
    qtbot.waitUntil(lambda: bool(results), timeout=TIMEOUT)
    wait_for_threads(qtbot)
    assert results == [2]


def test_a_failing_job_frees_the_runner(runner: JobRunner, qtbot: Any) -> None:
    def work(*_: Any) -> None:
        raise ReadError("is empty")

    with qtbot.waitSignal(runner.failed, timeout=TIMEOUT) as blocker:
        runner.run(work, lambda _: None)
    assert blocker.args == ["is empty.", ""]
    assert not runner.is_busy


def test_the_end_of_the_parent_stops_the_job(qtbot: Any) -> None:
    parent = QObject()
    runner = JobRunner(parent)
    started = threading.Event()

    def work(progress: Any, should_stop: Any) -> None:
        started.set()
        while not should_stop():
            threading.Event().wait(0.01)

    runner.run(work, lambda _: None)
    started.wait()
    parent.deleteLater()
    del parent, runner
    gc.collect()
    wait_for_threads(qtbot)
