"""What is left to do of a plan, and how it is done: new scans first, suspects last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.progress import Progress, ShouldStop
from napari_resonance.scoring.cluster import Cluster, Tasks
from napari_resonance.scoring.journal import (
    BEGUN,
    FAILED,
    SCORED,
    SKIPPED,
    Journal,
    Result,
    Task,
)
from napari_resonance.scoring.maps import Maps
from napari_resonance.scoring.options import ScoreOptions, Scorer
from napari_resonance.scoring.pipeline import Pipeline
from napari_resonance.scoring.plan import Item
from napari_resonance.scoring.preparing import Job
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.readers import Inline, Readers, Source
from napari_resonance.scoring.summary import Summary

# A process that ends over one scan, twice, is the scan's doing (see `Readers`). A whole
# run that ends over it may be anybody's: a power cut, or a shell that was closed.
_MOST_RUNS = 5
_TRIED = (
    f"{_MOST_RUNS} runs ended while it was read, nothing else being at work: it may "
    "need more memory than there is. It is left alone from now on; look at it with "
    "another program, or try again with --retry-failed"
)
_AT_A_TIME = 256  # scans whose files are looked up in the journal at once

_Wanted = tuple[int, tuple[int, ...]]  # place in the plan, numbers of models


@dataclass
class _Todo:
    """Places in the plan, with the numbers of the models that are missing there.

    Lists of places only: of a million series, the files alone would fill the memory.
    """

    fresh: list[list[_Wanted]] = field(default_factory=list)
    suspect: list[_Wanted] = field(default_factory=list)
    refused: list[_Wanted] = field(default_factory=list)
    tried: list[_Wanted] = field(default_factory=list)


class Work:
    """One run: what is left to do, and what has been done.

    Parameters
    ----------
    scorers
        The models.
    journal
        With the plan, and the results of earlier runs.
    options, progress
        As `score` takes them.

    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        journal: Journal,
        options: ScoreOptions,
        progress: Progress,
    ) -> None:
        maps = Maps(journal.path.parent) if options.maps else None
        self.pipeline = Pipeline(scorers, journal, options.sha256, self._ended, maps)
        self._scorers = scorers
        self._journal = journal
        self._options = options
        self._progress = progress
        self._total = journal.n_planned() * len(scorers)
        self._open: set[Task] = set()
        self._counts: Counter[str] = Counter()
        self._resumed = 0

    def all(self, models: Models, should_stop: ShouldStop) -> None:
        """Do what is missing: what is new first, then what a process ended over.

        Raises
        ------
        CancelledError
            If it was stopped.
        ReadError
            If files vanished while it ran.

        """
        todo = self._todo()
        self._report()
        self._refuse(todo)
        options = self._options
        if not (options.workers or options.scheduler):
            self._both(models, todo, should_stop, None)
        elif todo.fresh or todo.suspect:
            self._progress(0, 0, "connecting to the workers")
            with Cluster(options) as cluster:
                self._both(models, todo, should_stop, cluster)
        if should_stop():
            raise CancelledError(
                f"the run was stopped; {self._counts.total()} results are kept",
                remedy="Run the same command again to go on",
            )

        if self.pipeline.n_gone:
            raise ReadError(
                f"the files of {self.pipeline.n_gone} scans vanished while they were "
                f"scored; {self._counts.total()} results are kept",
                remedy="See that the disk or share is there, and run the same command "
                "again",
            )

    def end(self) -> None:
        """Take back what was begun and not ended by this run, which ends in order."""
        self._journal.forget(self._open)

    def summary(self, folder: Path) -> Summary:
        """Count all results."""
        return Summary(
            scored=self._counts[SCORED],
            failed=self._counts[FAILED],
            skipped=self._counts[SKIPPED],
            resumed=self._resumed,
            out=folder,
            stages=self.pipeline.stages,
        )

    def _both(
        self,
        models: Models,
        todo: _Todo,
        should_stop: ShouldStop,
        cluster: Cluster | None,
    ) -> None:
        suspects = list(self._jobs([[one] for one in todo.suspect]))
        if todo.fresh:
            n_readers = min(self._options.readers, len(todo.fresh))
            options = replace(self._options, readers=n_readers)
            source = self._source(self._jobs(todo.fresh), models, options, cluster)
            self._use(source, should_stop)
            suspects += source.lost
        # One at a time, in a process that may go down with it.
        again = [single for job in suspects for single in job.alone()]
        if again and not should_stop():
            one = replace(self._options, readers=1)
            source = self._source(iter(again), models, one, cluster, alone=True)
            self._use(source, should_stop)

    def _source(
        self,
        jobs: Iterator[Job],
        models: Models,
        options: ScoreOptions,
        cluster: Cluster | None,
        *,
        alone: bool = False,
    ) -> Source:
        stages = self.pipeline.stages
        if cluster is not None:
            stages.readers = stages.networks = cluster.n_threads()
            return Tasks(cluster, jobs, models, options, self._begin, alone=alone)
        if not options.readers:
            return Inline(jobs, self._scorers, self._begin)
        stages.readers = max(stages.readers, options.readers)
        return Readers(jobs, models, options, self._begin)

    def _use(self, source: Source, should_stop: ShouldStop) -> None:
        try:
            self.pipeline.run(source, should_stop)
        finally:
            source.close()

    def _todo(self) -> _Todo:
        shas = [scorer.sha256 for scorer in self._scorers]
        if self._options.retry_failed:
            self._journal.forget_failed(shas, self._options.sha256)
        todo, suspects = _Todo(), []
        standing = self._journal.standing(shas, self._options.sha256)
        for _, group in groupby(standing, lambda row: row[1]):
            fresh: list[_Wanted] = []
            for place, _, refused, states in group:
                self._counts.update(s for s, _ in states if s not in ("", BEGUN))
                wanted = [n for n, (s, _) in enumerate(states) if s in ("", BEGUN)]
                if not wanted:
                    continue
                tries = max(states[n][1] for n in wanted)
                one = (place, tuple(wanted))
                if refused:
                    todo.refused.append(one)
                elif tries >= _MOST_RUNS:
                    todo.tried.append(one)
                elif tries:
                    suspects.append((tries, one))
                else:
                    fresh.append(one)
            if fresh:
                todo.fresh.append(fresh)
        # A run that is killed again and again, whatever it reads, then does not end
        # over the same scan each time.
        todo.suspect = [one for _, one in sorted(suspects, key=itemgetter(0))]
        self._resumed = self._counts.total()
        return todo

    def _jobs(self, groups: Sequence[list[_Wanted]]) -> Iterator[Job]:
        """Yield a job for each group."""
        for begin in range(0, len(groups), _AT_A_TIME):
            part = groups[begin : begin + _AT_A_TIME]
            items = self._at([place for group in part for place, _ in group])
            for group in part:
                wanted = tuple((items[place], numbers) for place, numbers in group)
                yield Job(wanted, self._options.force, maps=self._options.maps)

    def _at(self, places: Sequence[int]) -> dict[int, Item]:
        found = self._journal.items(places)
        return dict(zip(sorted(places), found, strict=True))

    def _refuse(self, todo: _Todo) -> None:
        for wanted, why in ((todo.refused, ""), (todo.tried, _TRIED)):
            for job in self._jobs([[one] for one in wanted]):
                ((item, numbers),) = job.wanted
                kind = "Quarantined" if why else "ReadError"
                text = f"{(why or item.refused).rstrip('.')}."
                answer = {"error": text, "type": kind}
                self.pipeline.keep(
                    [
                        Result(self.pipeline.task(item.key, n), FAILED, answer)
                        for n in numbers
                    ]
                )

    def _begin(self, job: Job) -> None:
        tasks = [self.pipeline.task(i.key, m) for i, ms in job.wanted for m in ms]
        self._open.update(tasks)
        self._journal.begin(tasks)

    def _ended(self, result: Result) -> None:
        self._open.discard(result.task)
        self._counts[result.status] += 1
        self._report()

    def _report(self) -> None:
        text = f"{self._counts[FAILED]} failed"
        self._progress(self._counts.total(), self._total, text)
