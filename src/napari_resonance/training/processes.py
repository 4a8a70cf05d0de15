"""One training in several processes, each with a device of its own (DDP).

Lightning's own launchers start the whole program again, or want every callback to
travel to the other processes. Here the processes are ours: the caller's functions stay
where they are and are told through a queue.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from napari_resonance.errors import TrainingError
from napari_resonance.progress import never, no_progress
from napari_resonance.training.callbacks import Surroundings, stopped
from napari_resonance.training.epochs import Epoch, no_epoch

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from napari_resonance.training.train import Task, Trained

_TICK = 0.5
"""Seconds between two looks at whether the caller wants to stop."""


class _Place(NamedTuple):
    """Which of how many processes one is, and where they meet."""

    rank: int
    world: int
    port: int


class _Ends(NamedTuple):
    """What connects a process to the one that started it."""

    messages: Any
    finish: Any


def train_together(task: Task, around: Surroundings, split: int) -> Trained:
    """Train in ``around.devices`` processes; the network learns in the first of them.

    Raises
    ------
    TrainingError
        If there are fewer devices, or a process died.
    CancelledError
        If the caller asked to stop.

    """
    world = around.devices
    _check_devices(around)
    context = _context()
    ends = _Ends(context.Queue(), context.Event())
    place = _Place(0, world, _free_port())
    sent = _sent(task)
    own = replace(
        around,
        progress=no_progress,
        should_stop=never,
        on_epoch=no_epoch,
        should_finish=never,
    )
    processes = [
        context.Process(
            target=_work,
            args=(place._replace(rank=rank), sent, own, split, ends),
            daemon=True,
        )
        for rank in range(world)
    ]
    try:
        for process in processes:
            process.start()
        trained = _listen(processes, ends, around)
    finally:
        for process in processes:
            process.kill()  # checkpoints are whole or not there
        for process in processes:
            process.join()
    task.network.load_state_dict(trained.network.state_dict())
    return replace(trained, network=task.network.cpu().eval())


def _sent(task: Task) -> bytes:
    """Return what other processes make a task of their own from.

    As bytes, for tensors would be shared, and all processes train the same ones. What
    maps a file goes by its name: a set of scans may be larger than the memory.
    """
    training = task.training.chosen(np.arange(len(task.training)))
    validation = task.validation.chosen(np.arange(len(task.validation)))
    return pickle.dumps(replace(task, training=training, validation=validation))


def _context() -> Any:
    """Return how processes are started: none inherits threads or a graphics card."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The imports, which take longer than a small training, are done once.
    context.set_forkserver_preload(["napari_resonance.training.train"])
    return context


def _check_devices(around: Surroundings) -> None:
    if around.device == "cpu" or not torch.cuda.is_available():
        return
    found = torch.cuda.device_count()
    if around.devices > found:
        raise TrainingError(
            f"{around.devices} graphics cards are asked for, and there are {found}",
            remedy=f"Use --devices {found}, or --device cpu",
        )


def _listen(
    processes: Sequence[BaseProcess], ends: _Ends, around: Surroundings
) -> Trained:
    """Tell the caller what the processes report, until the first of them is done."""
    while True:
        try:
            kind, content = ends.messages.get(timeout=_TICK)
        except queue.Empty:
            kind, content = "", None
        if kind == "trained":
            trained: Trained = pickle.loads(content)
            return trained
        if kind == "failed":
            raise content
        if kind == "progress":
            around.progress(*content)
        elif kind == "epoch":
            around.on_epoch(content)
            if around.should_finish():
                ends.finish.set()
        elif not kind and any(p.exitcode not in (None, 0) for p in processes):
            raise TrainingError(
                "a process of the training died",
                remedy="Look at the memory of the machine, then go on with --resume",
            )
        if around.should_stop():
            raise stopped()


def _work(
    place: _Place, sent: bytes, around: Surroundings, split: int, ends: _Ends
) -> None:
    """Do one process's part, and say how it ended."""
    from napari_resonance.training.train import attempt

    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(place.port),
        "WORLD_SIZE": str(place.world),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(place.rank),
    }
    torch.set_num_threads(max(1, torch.get_num_threads() // place.world))

    def progress(done: int, total: int, text: str) -> None:
        ends.messages.put(("progress", (done, total, text)))

    def on_epoch(epoch: Epoch) -> None:
        ends.messages.put(("epoch", epoch))

    if place.rank == 0:
        around = replace(
            around,
            progress=progress,
            on_epoch=on_epoch,
            should_finish=ends.finish.is_set,
        )
    try:
        trained = attempt(pickle.loads(sent), around, split)
    # Whatever it is, the process that waits for this one must be told.
    except Exception as error:  # noqa: BLE001
        ends.messages.put(("failed", _sendable(error)))
    else:
        if place.rank == 0:
            # As bytes: tensors would lie in this process, which ends.
            ends.messages.put(("trained", pickle.dumps(trained)))
    finally:
        ends.messages.close()
        ends.messages.join_thread()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _sendable(error: Exception) -> Exception:
    """Return an error that another process can read."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - errors of other packages may hold anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
