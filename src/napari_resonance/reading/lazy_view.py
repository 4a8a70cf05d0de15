"""A dask array whose planes come straight from where they are read.

dask plans anew for every plane that is looked at, which takes longer than reading it.
Here, what only selects and turns planes is remembered beside the plan, so that numpy
gets them without it; everything else is dask's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """What planes are read from, as slices of its axes."""

    shape: tuple[int, ...]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part."""

    def read_all(self) -> NDArray[Any]:
        """Read everything at once."""


@dataclass(frozen=True)
class View:
    """A part of a source: which indices of each of its axes, and the axes in order.

    Parameters
    ----------
    source
        What is read.
    picked
        For each axis of the source its indices, or one index, which drops the axis.
    order
        Axes of the source that are left, as they follow one another here.

    """

    source: Source
    picked: tuple[range | int, ...]
    order: tuple[int, ...]

    @classmethod
    def of(cls, source: Source) -> View:
        """Return the view of all of it."""
        ranges = tuple(map(range, source.shape))
        return cls(source, ranges, tuple(range(len(ranges))))

    def cut(self, index: Any) -> View | None:
        """Return what is left after indexing by integers and slices, else None."""
        given = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [g for g in given if not isinstance(g, np.ndarray)]:
            at = given.index(Ellipsis)
            missing = (slice(None),) * (len(self.order) - len(given) + 1)
            given = (*given[:at], *missing, *given[at + 1 :])
        if not all(isinstance(g, int | np.integer | slice) for g in given):
            return None
        picked, order = list(self.picked), list(self.order)
        for axis, one in zip(self.order, given, strict=False):
            kept = self.picked[axis]
            picked[axis] = kept if isinstance(kept, int) else kept[one]
            if isinstance(picked[axis], int):
                order.remove(axis)
        return replace(self, picked=tuple(picked), order=tuple(order))

    def turned(self, axes: tuple[int, ...]) -> View:
        """Return the view with its axes in another order."""
        return replace(self, order=tuple(self.order[axis] for axis in axes))

    def read(self) -> NDArray[Any]:
        """Read what the view shows."""
        index = tuple(map(_as_index, self.picked))
        full = tuple(map(range, self.source.shape))
        if tuple(map(_as_range, self.picked)) == full:
            found = self.source.read_all()[index]
        else:
            found = self.source[index]
        kept = sorted(self.order)
        return found.transpose([kept.index(axis) for axis in self.order])


def _as_range(picked: range | int) -> range:
    return range(picked, picked + 1) if isinstance(picked, int) else picked


def _as_index(picked: range | int) -> slice | int:
    if isinstance(picked, int):
        return picked
    if not picked:
        return slice(0, 0)
    # Where a range runs down to the first index it ends at -1, to a slice the last.
    stop = picked.stop if picked.stop >= 0 else None
    return slice(picked.start, stop, picked.step)


class LazyArray(da.Array):
    """A dask array that knows which part of its source it shows."""

    _view: View

    def __new__(cls, array: da.Array, view: View) -> LazyArray:
        """Return a dask array of the same plan, which shows `view`."""
        made: LazyArray = super().__new__(  # type: ignore[no-untyped-call]
            cls, array.dask, array.name, array.chunks, meta=array._meta
        )
        made._view = view
        return made

    def __getitem__(self, index: Any) -> Any:
        """Return a part, which knows its place as long as it is cut by slices."""
        found = super().__getitem__(index)  # type: ignore[no-untyped-call]
        view = self._view.cut(index)
        return found if view is None else LazyArray(found, view)

    def transpose(self, *axes: Any) -> Any:
        """Return the array with its axes in another order, by default the reverse."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        order = tuple(order or reversed(range(self.ndim)))
        order = tuple(axis % self.ndim for axis in order)
        found = super().transpose(order)  # type: ignore[no-untyped-call]
        return LazyArray(found, self._view.turned(order))

    def __array__(self, dtype: Any = None, copy: Any = None, **_: Any) -> NDArray[Any]:
        """Read what it shows."""
        found = self._view.read()
        return np.array(found, dtype) if copy else np.asarray(found, dtype)
