"""How much memory this process may take: of the machine, and of the group it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MINE = Path("/proc/self/cgroup")


def total_memory() -> int:
    """Return how many bytes there are, or may be taken in this container."""
    import psutil

    limits = (group.limit for group in _groups())
    return min(int(psutil.virtual_memory().total), *limits, 1 << 62)


def available_memory() -> int:
    """Return how many bytes may be taken now without others having to give way.

    Caches of files, which the system gives up when it must, count as available.
    """
    import psutil

    left = (max(group.limit - group.used, 0) for group in _groups())
    return min(int(psutil.virtual_memory().available), *left, 1 << 62)


@dataclass(frozen=True)
class _Group:
    """What Linux lets a container, a service or a job of a cluster take, in bytes."""

    limit: int
    used: int


def _groups() -> Iterator[_Group]:
    """Yield the groups of this process that have a limit: its own, and those above."""
    try:
        lines = _MINE.read_text().splitlines()
    except OSError:
        return  # no Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names = ("memory.max", "memory.current", "inactive_file")
            yield from _above(_GROUPS, path, names)
        elif "memory" in controllers.split(","):
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
            yield from _above(_GROUPS / "memory", path, names)


def _above(base: Path, path: str, names: tuple[str, str, str]) -> Iterator[_Group]:
    # In a container its own group is the base, and the path leads nowhere.
    own = base / path.strip("/")
    limit, used, cached = names
    for folder in (own, *own.parents):
        with suppress(OSError, ValueError):  # not there, or "max"
            most = int((folder / limit).read_text())
            taken = int((folder / used).read_text())
            rows = (folder / "memory.stat").read_text().splitlines()
            files = (int(r.split()[1]) for r in rows if r.split()[0] == cached)
            yield _Group(most, taken - next(files, 0))
        if folder == base:
            return
