"""The journal of a run: one SQLite file that survives whatever ends the process."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
CREATE TABLE IF NOT EXISTS plan (
    place INTEGER PRIMARY KEY, item TEXT NOT NULL, entry TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS left_out (source TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    item TEXT NOT NULL, model TEXT NOT NULL, options TEXT NOT NULL,
    status TEXT NOT NULL, tries INTEGER NOT NULL, answer TEXT, content TEXT,
    PRIMARY KEY (item, model, options)
) WITHOUT ROWID;
"""

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
        """Return name and labels of each model by its hash."""
        rows = self._base.execute("SELECT sha256, name, labels FROM models")
        return {sha: (name, tuple(json.loads(labels))) for sha, name, labels in rows}

    def keep_plan(self, plan: Plan) -> None:
        """Put a plan in the place of the one before; results stay."""
        entries = ((i.key, json.dumps(asdict(i))) for i in plan.items)
        facts = {"root": str(plan.root), "stamp": plan.stamp}
        with self._transaction() as base:
            base.execute("DELETE FROM plan")
            base.execute("DELETE FROM left_out")
            base.executemany("INSERT INTO plan (item, entry) VALUES (?, ?)", entries)
            base.executemany("INSERT INTO left_out VALUES (?, ?)", plan.left_out)
            base.executemany("REPLACE INTO facts VALUES (?, ?)", facts.items())

    def plan(self) -> Plan:
        """Return the plan that was kept last."""
        rows = self._base.execute("SELECT entry FROM plan ORDER BY place")
        items = tuple(_item(entry) for (entry,) in rows)
        left_out = tuple(self._base.execute("SELECT source, reason FROM left_out"))
        return Plan(Path(self.fact("root")), self.fact("stamp"), items, left_out)

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

    def forget(self, tasks: Iterable[Task], status: str = BEGUN) -> None:
        """Take back that tasks were begun, or with which status they ended."""
        with self._transaction() as base:
            base.executemany(
                "DELETE FROM results WHERE item=? AND model=? AND options=? "
                "AND status=?",
                [(t.item, t.model, t.options, status) for t in tasks],
            )

    def rows(self, options: str) -> Iterator[tuple[Item, str, str, Any, str]]:
        """Yield item, model, status, answer and content hash of each planned scan."""
        query = (
            "SELECT entry, model, status, answer, content FROM plan "
            "JOIN results USING (item) WHERE options=? AND status != 'begun' "
            "ORDER BY place, model"
        )
        for entry, model, status, answer, content in self._base.execute(
            query, (options,)
        ):
            yield _item(entry), model, status, json.loads(answer), content

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


def _item(entry: str) -> Item:
    values = json.loads(entry)
    values["files"] = tuple(values["files"])
    values["shape"] = tuple(values["shape"])
    if values.get("center_mm") is not None:
        values["center_mm"] = tuple(values["center_mm"])
    return Item(**values)
