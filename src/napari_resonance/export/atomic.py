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
        why = (error.strerror or str(error)).lower()
        raise ExportError(
            f"the file could not be written ({why})",
            source=final,
            remedy="Choose a folder you may write to, with free space",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
