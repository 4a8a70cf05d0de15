"""The network at work on what the readers prepared: batched, judged, journalled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_resonance.classifier.stages import Answer
from napari_resonance.errors import ModelError
from napari_resonance.progress import ShouldStop
from napari_resonance.scoring.journal import FAILED, SCORED, Journal, Result, Task
from napari_resonance.scoring.maps import Maps, judged
from napari_resonance.scoring.options import Scorer
from napari_resonance.scoring.preparing import GONE, Ended, Ready, error_entry
from napari_resonance.scoring.readers import Message, Source

_LARGEST_BATCH = 16
# How much faster a case must be in a larger batch, to be worth its memory.
_GAIN = 0.95


@dataclass
class Stages:
    """How many seconds each stage was at work, and how many processes read.

    Parameters
    ----------
    read, prepare
        Summed over the reading processes.
    network
        Summed over the processes that run the network.
    write
        Of this process.
    wall
        Of the whole run.
    readers
        Number of processes that read; 0 where this one does.
    networks
        Number of processes that run the network.

    """

    read: float = 0.0
    prepare: float = 0.0
    network: float = 0.0
    write: float = 0.0
    wall: float = 0.0
    readers: int = 0
    networks: int = 1

    def busy(self) -> dict[str, float]:
        """Return which share of the time each stage was at work."""
        wall = max(self.wall, 1e-9)
        side_by_side = wall * max(self.readers, 1)
        return {
            "read": self.read / side_by_side,
            "prepare": self.prepare / side_by_side,
            "network": self.network / (wall * self.networks),
            "write": self.write / wall,
        }

    def __str__(self) -> str:
        """Return ``read 41 % busy, network 97 % busy, ...``."""
        return ", ".join(f"{n} {share:.0%} busy" for n, share in self.busy().items())


@dataclass
class BatchSize:
    """How many inputs of one shape the network gets at once: found by trying.

    Twice as many are tried as long as that makes an input cheaper. The first run of a
    size does not count, for engines prepare themselves for it.
    """

    size: int = 1
    _settled: bool = False
    _warm: set[int] = field(default_factory=set)
    _cost: dict[int, float] = field(default_factory=dict)

    def ran(self, n_inputs: int, seconds: float) -> None:
        """Take note of a run."""
        if self._settled or n_inputs != self.size:
            return
        if n_inputs not in self._warm:
            self._warm.add(n_inputs)
            return
        self._cost[n_inputs] = seconds / n_inputs
        before = self._cost.get(n_inputs // 2)
        if before is not None and self._cost[n_inputs] > before * _GAIN:
            self.size, self._settled = n_inputs // 2, True
        elif n_inputs * 2 > _LARGEST_BATCH:
            self._settled = True
        else:
            self.size = n_inputs * 2


class Pipeline:
    """Takes prepared scans from the readers until there are no more.

    Parameters
    ----------
    scorers
        The models, in the order of their numbers.
    journal, options
        Where results go, and under which hash of the options.
    ended
        Called with each result once it is on the disk.
    maps
        Writes saliency maps; None where none are asked for.

    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        journal: Journal,
        options: str,
        ended: Callable[[Result], None],
        maps: Maps | None = None,
    ) -> None:
        self.stages = Stages()
        self.n_gone = 0  # scans whose files vanished while it ran
        self._scorers = scorers
        self._journal = journal
        self._options = options
        self._ended = ended
        self._maps = maps
        self._sizes: dict[tuple[int, tuple[int, ...]], BatchSize] = {}

    def task(self, item: str, model: int) -> Task:
        """Return the task of a scan and the number of a model."""
        return Task(item, self._scorers[model].sha256, self._options)

    def run(self, source: Source, should_stop: ShouldStop) -> None:
        """Score all that comes; returns early if asked to stop."""
        waiting: list[Ready] = []
        while not (source.is_done and not waiting) and not should_stop():
            done: list[Message] = []
            results: list[Result] = []
            for message in source.messages(wait=not waiting):
                self.stages.read += message.seconds[0]
                self.stages.prepare += message.seconds[1]
                self.stages.network += message.seconds[2]
                if isinstance(message, Ready):
                    waiting.append(message)
                else:
                    done.append(message)
                    if message.status == GONE:
                        self.n_gone += 1
                    else:
                        results.append(self._result(message))
            if waiting:
                batch = self._next(waiting)
                results += self._answers(batch)
                done += batch
            self.keep(results)
            for message in done:
                source.used(message)

    def _next(self, waiting: list[Ready]) -> list[Ready]:
        """Take those that go together with the one that waits longest."""
        first = waiting[0]
        shape = first.case.network_input.array.shape
        size = self._sizes.setdefault((first.model, shape), BatchSize())
        # The slices of a volume are a batch already.
        limit = size.size if shape[0] == 1 and len(shape) == 5 else 1
        alike = [
            w
            for w in waiting
            if w.model == first.model and w.case.network_input.array.shape == shape
        ]
        chosen = alike[:limit]
        waiting[:] = [w for w in waiting if w not in chosen]
        return chosen

    def _answers(self, batch: Sequence[Ready]) -> Iterator[Result]:
        started = time.perf_counter()
        scorer = self._scorers[batch[0].model]
        arrays = [ready.case.network_input.array for ready in batch]
        try:
            answer = scorer.run(
                arrays[0] if len(batch) == 1 else np.concatenate(arrays)
            )
        except ModelError as error:
            if len(batch) > 1:  # one of them may have brought it about
                for ready in batch:
                    yield from self._answers([ready])
                return
            yield self._result(_failed(batch[0], error))
            return
        seconds = time.perf_counter() - started
        self.stages.network += seconds
        self._sizes[batch[0].model, arrays[0].shape].ran(len(batch), seconds)
        rows = [answer] if len(batch) == 1 else _parted(answer)
        for ready, row in zip(batch, rows, strict=True):
            own = sum(ready.seconds) + seconds / len(batch)
            entry, drawn = judged(scorer, ready.case, row, maps=self._maps is not None)
            entry["seconds"] = own
            ended = Ended(
                ready.item, ready.model, SCORED, entry, ready.content, drawn=drawn
            )
            yield self._result(ended)

    def _result(self, ended: Ended) -> Result:
        task = self.task(ended.item, ended.model)
        answer = ended.answer
        if self._maps is not None and ended.drawn is not None:
            answer = answer | self._maps.write(task.item, task.model, ended.drawn)
        return Result(task, ended.status, answer, ended.content)

    def keep(self, results: Sequence[Result]) -> None:
        """Put results into the journal, then tell of them."""
        if not results:
            return
        started = time.perf_counter()
        self._journal.finish(results)
        self.stages.write += time.perf_counter() - started
        for result in results:
            self._ended(result)


def _parted(answer: Answer) -> list[Answer]:
    """Return the answers to the cases of a batch of a 3D network."""
    pairs = zip(answer.logits, answer.features, strict=True)
    return [
        Answer(logits[None], features[None], answer.notes) for logits, features in pairs
    ]


def _failed(ready: Ready, error: ModelError) -> Ended:
    return Ended(ready.item, ready.model, FAILED, error_entry(error), ready.content)
