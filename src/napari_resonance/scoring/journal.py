"""The journal of a run: one SQLite file that survives whatever ends the process."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_resonance.errors import ExportError
from napari_resonance.scoring.plan import Item, Plan

FILE_NAME = "journal.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS planned (
    place INTEGER PRIMARY KEY, item TEXT NOT NULL, entry TEXT NOT NULL,
    refused INTEGER NOT NULL,
    files BLOB NOT NULL,      -- compressed: a million series have 300 million
    together INTEGER NOT NULL, -- place of the first scan of the same files
    study INTEGER NOT NULL     -- place of the first scan of the same study
);
CREATE TABLE IF NOT EXISTS left_out (source TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    item TEXT NOT NULL, model TEXT NOT NULL, options TEXT NOT NULL,
    status TEXT NOT NULL, tries INTEGER NOT NULL, answer TEXT, content TEXT,
    PRIMARY KEY (item, model, options)
) WITHOUT ROWID;
"""

_SHORT = 8  # characters of a hash that tell models of one name apart

BEGUN, SCORED, FAILED, SKIPPED = "begun", "scored", "failed", "skipped"


@dataclass(frozen=True)
class Task:
    """One scan, to be scored with one model and one set of options: hashes of each."""

    item: str
    model: str
    options: str


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Parameters
    ----------
    task
        Which one.
    status
        "scored", "failed" or "skipped".
    answer
        For JSON: the prediction, or the error.
    content
        Hash of the scan's voxels and their place; empty where it was not read.

    """

    task: Task
    status: str
    answer: dict[str, Any]
    content: str = ""


class Journal:
    """What is to be scored, what was begun, and what came of it.

    Results are on the disk when `finish` returns. That a scan was begun is handed to
    the operating system, which outlives the process. May be used by several threads.

    Parameters
    ----------
    path
        The file, on a local disk; made where there is none.

    Raises
    ------
    ExportError
        If it cannot be opened; later, if it cannot be written.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._told():
            if not path.exists():
                # It holds names, which none but the owner of the results is to read.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._base = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False
            )
            # One flush for a commit, and readers are not in the way.
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        with self._told():
            self._base.close()

    def fact(self, name: str) -> str:
        """Return a text that was kept under a name; empty if there is none."""
        query = "SELECT value FROM facts WHERE name = ?"
        row = self._base.execute(query, (name,)).fetchone()
        return row[0] if row else ""

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a text under a name."""
        with self._transaction() as base:
            base.execute("REPLACE INTO facts VALUES (?, ?)", (name, value))

    def keep_model(self, sha256: str, name: str, labels: Sequence[str]) -> None:
        """Keep what a model is called, and its labels."""
        with self._transaction() as base:
            row = (sha256, name, json.dumps(list(labels)))
            base.execute("REPLACE INTO models VALUES (?, ?, ?)", row)

    def models(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return name and labels of each model by its hash; no two have one name.

        Of several, as where a model was trained anew, the one that was kept last has
        the name, and the others a part of their hash behind it.
        """
        query = "SELECT sha256, name, labels FROM models ORDER BY rowid"
        rows = self._base.execute(query).fetchall()
        last = {name: sha for sha, name, _ in rows}
        return {
            sha: (
                name if last[name] == sha else f"{name} ({sha[:_SHORT]})",
                tuple(json.loads(labels)),
            )
            for sha, name, labels in rows
        }

    def keep_plan(self, plan: Plan) -> None:
        """Put a plan in the place of the one before; results stay."""
        facts = {"root": str(plan.root), "stamp": plan.stamp}
        with self._transaction() as base:
            base.execute("DELETE FROM planned")
            base.execute("DELETE FROM left_out")
            base.executemany(
                "INSERT INTO planned VALUES (?, ?, ?, ?, ?, ?, ?)", _planned(plan.items)
            )
            base.executemany("INSERT INTO left_out VALUES (?, ?)", plan.left_out)
            base.executemany("REPLACE INTO facts VALUES (?, ?)", facts.items())

    def n_planned(self) -> int:
        """Return how many scans the plan has."""
        return int(self._base.execute("SELECT count(*) FROM planned").fetchone()[0])

    def left_out(self) -> Iterator[tuple[str, str]]:
        """Yield source and reason of what is no scan."""
        yield from self._base.execute("SELECT source, reason FROM left_out")

    def items(self, places: Sequence[int] | None = None) -> Iterator[Item]:
        """Yield the scans that are planned, or those at some places, in their order."""
        query = "SELECT entry, files FROM planned {} ORDER BY place"
        if places is None:
            for entry, files in self._base.execute(query.format("")):
                yield _item(entry, files)
            return
        marks = ",".join("?" * len(places))
        with self._lock:
            rows = self._base.execute(
                query.format(f"WHERE place IN ({marks})"), tuple(places)
            ).fetchall()
        for entry, files in rows:
            yield _item(entry, files)

    def standing(
        self, models: Sequence[str], options: str
    ) -> Iterator[tuple[int, int, bool, list[tuple[str, int]]]]:
        """Yield where each planned scan stands, scans of the same files together.

        Yields
        ------
        tuple
            Its place; that of the first scan of the same files; whether it cannot be
            read; for each model status ("" where it was never begun) and tries.

        """
        joins, columns = "", ""
        for n in range(len(models)):
            columns += f", r{n}.status, r{n}.tries"
            joins += (
                f" LEFT JOIN results r{n} ON r{n}.item = planned.item"
                f" AND r{n}.model = ? AND r{n}.options = ?"
            )
        query = f"SELECT place, together, refused{columns} FROM planned{joins}"
        given = [value for model in models for value in (model, options)]
        for place, together, refused, *states in self._base.execute(
            f"{query} ORDER BY together, place", given
        ):
            pairs = zip(states[::2], states[1::2], strict=True)
            known = [(status or "", tries or 0) for status, tries in pairs]
            yield place, together, bool(refused), known

    def states(self, model: str, options: str) -> dict[str, tuple[str, int]]:
        """Return status and number of tries of each item that was ever begun."""
        query = "SELECT item, status, tries FROM results WHERE model=? AND options=?"
        with self._lock:
            rows = self._base.execute(query, (model, options)).fetchall()
        return {item: (status, tries) for item, status, tries in rows}

    def begin(self, tasks: Iterable[Task]) -> None:
        """Note that scans are about to be touched: one more try of each."""
        # Only power loss could take this back, and it would cost no result.
        with self._transaction("NORMAL") as base:
            base.executemany(
                "INSERT INTO results VALUES (?, ?, ?, 'begun', 1, NULL, NULL) "
                "ON CONFLICT DO UPDATE SET tries = tries + 1",
                [(t.item, t.model, t.options) for t in tasks],
            )

    def finish(self, results: Iterable[Result]) -> None:
        """Keep results, all of them or none: they are on the disk on return."""
        rows = [
            (
                *(r.task.item, r.task.model, r.task.options, r.status),
                *(json.dumps(r.answer, allow_nan=False), r.content),
            )
            for r in results
        ]
        with self._transaction() as base:
            base.executemany(
                "INSERT INTO results VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6) "
                "ON CONFLICT DO UPDATE SET status=?4, answer=?5, content=?6",
                rows,
            )

    def forget(self, tasks: Iterable[Task]) -> None:
        """Take back that tasks were begun: a run that ends in order was no try."""
        which = [(t.item, t.model, t.options) for t in tasks]
        begun = "item=? AND model=? AND options=? AND status='begun'"
        with self._transaction() as base:
            base.executemany(
                f"UPDATE results SET tries = tries - 1 WHERE {begun}", which
            )
            base.executemany(f"DELETE FROM results WHERE {begun} AND tries < 1", which)

    def forget_failed(self, models: Iterable[str], options: str) -> None:
        """Take back that planned scans failed."""
        with self._transaction() as base:
            base.executemany(
                "DELETE FROM results WHERE model=? AND options=? AND status='failed' "
                "AND item IN (SELECT item FROM planned)",
                [(model, options) for model in models],
            )

    def rows(
        self, options: str, *, by_study: bool = False, with_files: bool = False
    ) -> Iterator[tuple[Item, str, str, Any, str]]:
        """Yield item, model, status, answer and content hash of each planned scan.

        Parameters
        ----------
        options
            Hash of those under which results count.
        by_study
            Put the scans of a study next to each other.
        with_files
            Whether items have their files, which takes time where these are many.

        """
        files = "files" if with_files else "NULL"
        order = "study, place" if by_study else "place"
        query = (
            f"SELECT entry, {files}, model, status, answer, content FROM planned "
            "JOIN results USING (item) WHERE options=? AND status != 'begun' "
            f"ORDER BY {order}, model"
        )
        for entry, blob, model, status, answer, content in self._base.execute(
            query, (options,)
        ):
            yield _item(entry, blob), model, status, json.loads(answer), content

    def copied(self, options: str) -> dict[tuple[str, str], str]:
        """Return the first source of each content that is there more than once.

        By model and hash of the content.
        """
        query = (
            "SELECT model, content, entry FROM (SELECT model, content, min(place) AS "
            "place FROM planned JOIN results USING (item) WHERE options=? AND "
            "content != '' GROUP BY model, content HAVING count(*) > 1) "
            "JOIN planned USING (place)"
        )
        rows = self._base.execute(query, (options,))
        return {(m, content): json.loads(entry)["source"] for m, content, entry in rows}

    @contextmanager
    def _transaction(self, synchronous: str = "FULL") -> Iterator[sqlite3.Connection]:
        with self._lock, self._told():
            self._base.execute(f"PRAGMA synchronous={synchronous}")
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ExportError(
                f"the journal cannot be used ({error})",
                source=self.path,
                remedy="See that the disk is there and has space, and run again: what "
                "was scored is kept",
            ) from error


def _planned(items: Sequence[Item]) -> Iterator[tuple[int | str | bytes, ...]]:
    together: dict[str, int] = {}
    studies: dict[str, int] = {}
    for place, item in enumerate(items):
        files = json.dumps(item.files)
        entry = {name: v for name, v in vars(item).items() if name != "files"}
        yield (
            place,
            item.key,
            json.dumps(entry),
            bool(item.refused),
            zlib.compress(files.encode(), 1),
            together.setdefault(files, place),
            studies.setdefault(item.study or item.folder, place),
        )


def _item(entry: str, files: bytes | None) -> Item:
    values = json.loads(entry)
    values["files"] = tuple(json.loads(zlib.decompress(files))) if files else ()
    values["shape"] = tuple(values["shape"])
    if values.get("center_mm") is not None:
        values["center_mm"] = tuple(values["center_mm"])
    return Item(**values)
