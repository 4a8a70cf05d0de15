"""Read many damaged files: a search for crashes, hangs and foreign exceptions.

Not collected by pytest, which runs a shorter search (test_damage.py). Every case is a
real file with random damage, read as a file and as one of a folder; its number is all
that is needed to make it again.

    python tests/reading/fuzz.py --cases 100000 --jobs 2 [--first 0] [FOLDER...]

Files of the folders are used beside the test files of pydicom and nibabel.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import nibabel
import pydicom

from napari_resonance import read_scans
from napari_resonance.errors import ResonanceError

LARGEST_SEED = 1 << 20
SECONDS_PER_CASE = 60.0
EXTREMES = [bytes(4), b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]


def seeds_in(folders: list[Path]) -> list[Path]:
    """Return all files that are small enough to be read often."""
    built_in = [
        Path(pydicom.__file__).parent / "data" / "test_files",
        Path(nibabel.__file__).parent / "tests" / "data",
        Path(nibabel.__file__).parent / "nicom" / "tests" / "data",
    ]
    files = (p for f in (*built_in, *folders) for p in sorted(f.rglob("*")))
    small = [p for p in files if p.is_file() and 0 < p.stat().st_size <= LARGEST_SEED]
    scans, others = [], []
    for path in small:
        (scans if _holds_scan(path) else others).append(path)
    # What holds no scan is refused early, and needs no more than a look now and then.
    return scans * 5 + others


def _holds_scan(path: Path) -> bool:
    try:
        return bool(read_scans(path))
    except ResonanceError:
        return False


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Change, cut, double or drop some bytes, mostly in the first thousands."""
    spoilt = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
        near = min(len(spoilt), 4000) if draw.random() < 0.6 else len(spoilt)
        at = draw.randrange(max(near, 1))
        kind = draw.random()
        if kind < 0.6:
            spoilt[at : at + 1] = bytes([draw.randrange(256)])
        elif kind < 0.8:
            spoilt[at : at + 4] = draw.choice(EXTREMES)
        elif kind < 0.87:
            del spoilt[at : at + draw.randint(1, 64)]
        elif kind < 0.95:
            spoilt[at:at] = spoilt[at : at + draw.randint(1, 64)]
        else:
            spoilt = spoilt[: max(at, 1)]
    return bytes(spoilt)


def try_case(number: int, seeds: list[Path], folder: Path) -> str:
    """Read one damaged file; return what became of it."""
    draw = random.Random(number)
    seed = draw.choice(seeds)
    path = folder / seed.name
    path.write_bytes(damaged(seed.read_bytes(), draw))
    try:
        try:
            scans = read_scans(path)
            for scan in scans:
                scan.values()
            outcome = "read" if scans else "nothing in it"
        except ResonanceError as error:
            outcome = "refused" if error.source else "refused without its name"
        read_scans(folder)
    except Exception as error:  # noqa: BLE001 - any other exception is what we look for
        traceback.print_exc()
        outcome = f"foreign exception {type(error).__name__}"
    finally:
        path.unlink()
    return outcome


def work(numbers: range, seeds: list[Path], pipe: Connection) -> None:
    """Try cases and tell each one's number before and outcome after it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for number in numbers:
            pipe.send((number, None))
            outcome = try_case(number, seeds, folder)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            pipe.send((number, (outcome, peak)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Worker:
    """A process that tries cases; another takes its place when it dies or hangs."""

    def __init__(self, numbers: range, seeds: list[Path]) -> None:
        self.numbers, self.seeds = numbers, seeds
        self.number: int | None = None
        self.since = time.monotonic()
        self.pipe, there = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(
            target=work, args=(numbers, seeds, there)
        )
        self.process.start()
        there.close()

    def outcomes(self) -> Iterator[tuple[int, str, int]]:
        """Yield number, outcome and memory in MiB of the cases that were tried."""
        while self.pipe.poll(0.05):
            try:
                number, told = self.pipe.recv()
            except EOFError:
                return
            self.number = number if told is None else None
            self.since = time.monotonic()
            if told is not None:
                yield number, *told

    def breakdown(self) -> str:
        """Return what became of the process, empty while all is well or it is done."""
        late = time.monotonic() - self.since > SECONDS_PER_CASE
        if self.number is None or (self.process.is_alive() and not late):
            return ""
        self.process.kill()
        self.process.join()
        return "hang" if late else f"process ended ({self.process.exitcode})"

    def next(self) -> Worker:
        """Return another that goes on after the case that broke this one."""
        step = self.numbers.step
        rest = range((self.number or 0) + step, self.numbers.stop, step)
        return Worker(rest, self.seeds)


def main() -> int:
    """Run all cases; return 1 if any went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    seeds = seeds_in(options.folders)
    last = options.first + options.cases
    workers = [
        Worker(range(options.first + n, last, options.jobs), seeds)
        for n in range(options.jobs)
    ]
    count: Counter[str] = Counter()
    peak = 0
    while workers:
        for n, worker in enumerate(list(workers)):
            done = not worker.process.is_alive()
            for number, outcome, memory in worker.outcomes():
                count[outcome] += 1
                peak = max(peak, memory)
                if outcome.startswith(("foreign", "refused without")):
                    print(f"case {number}: {outcome}", flush=True)
            if broken := worker.breakdown():
                print(f"case {worker.number}: {broken}", flush=True)
                count[broken] += 1
                workers[n] = worker.next()
            elif done:
                workers.remove(worker)
    print(f"{sum(count.values())} cases of {len(set(seeds))} files: {dict(count)}")
    print(f"largest memory of a process: {peak} MiB")
    return int(not set(count) <= {"read", "refused", "nothing in it"})


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
