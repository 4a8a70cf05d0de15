"""Files appear whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from napari_resonance.errors import ExportError


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes `path`, otherwise it goes.

    The temporary file lies in the folder of `path`, so that the renaming is one step
    of the file system, and ends like it, for writers that choose a format by the file
    name. Missing folders are made. An existing file is replaced, and kept where
    writing fails.

    Raises
    ------
    ExportError
        If the operating system refuses: no permission, no space, a folder in the way.

    """
    final = Path(path)
    temporary = final.with_name(f".{uuid.uuid4().hex[:12]}-{final.name[-60:]}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        raise _refused("the file could not be written", final, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def writable_folder(folder: str | PathLike[str]) -> Path:
    """Make a folder where there is none, before the work is done that fills it.

    Raises
    ------
    ExportError
        If it cannot be made or nothing can be written into it.

    """
    path = Path(folder)
    probe = path / f".{uuid.uuid4().hex[:12]}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise _refused("the folder cannot be written to", path, error) from error
    return path


def _refused(what: str, path: Path, error: OSError) -> ExportError:
    why = (error.strerror or str(error)).lower()
    remedy = "Choose a folder you may write to, with free space"
    return ExportError(f"{what} ({why})", source=path, remedy=remedy)
