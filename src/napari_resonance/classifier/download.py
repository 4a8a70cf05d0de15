"""Pretrained weights on disk: found, fetched from the hub, or put there by hand."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_resonance.classifier.astra import is_installed, joined_tensors
from napari_resonance.classifier.catalogue import Pretrained
from napari_resonance.classifier.checkpoint import read_checkpoint, start_of_weights
from napari_resonance.classifier.files import cache_folder, file_sha256
from napari_resonance.errors import ModelError
from napari_resonance.progress import Progress, no_progress

if TYPE_CHECKING:
    import torch

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WITH_THIS_PACKAGE = Path(__file__).with_name("weights")
_BY_HAND = (
    "Or fetch the file on another machine and install it with: resonance models "
    "download NAME --file FILE"
)


@dataclass(frozen=True)
class Stored:
    """A file of weights on this machine.

    Parameters
    ----------
    path
        The file.
    sha256
        Of its content, empty where it was never taken.
    verified
        Whether that is the sha256 which the server named.

    """

    path: Path
    sha256: str = ""
    verified: bool = False


def stored_file(entry: Pretrained) -> Stored | None:
    """Return the weights of a network where they are on disk: ours, or the hub's cache.

    None where they are not, and for networks that come as a Python package.
    """
    if entry.is_synthetic:
        return Stored(_WITH_THIS_PACKAGE / entry.filename, entry.sha256, verified=True)
    path = _place(entry)
    if path.is_file():
        note = _read_note(path)
        known = str(note.get("sha256", ""))
        return Stored(path, known, bool(note.get("verified")) and bool(known))
    if not entry.repository:
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(entry.repository, entry.filename)
    return Stored(Path(cached)) if isinstance(cached, str) else None


def is_on_disk(entry: Pretrained) -> bool:
    """Tell whether a network can be loaded without a connection."""
    return is_installed() if entry.package else stored_file(entry) is not None


def fetched_tensors(
    entry: Pretrained, progress: Progress = no_progress
) -> dict[str, torch.Tensor]:
    """Return a network's tensors as its file names them; fetched where need be.

    Raises
    ------
    ModelError
        If they can neither be found nor fetched, or are damaged.
    DependencyError
        If they come as a Python package that is not installed.

    """
    if entry.package:
        return joined_tensors()
    stored = stored_file(entry) or download(entry, progress=progress)
    if stored.sha256 and file_sha256(stored.path) != stored.sha256:
        raise ModelError(
            "the weights have changed since they were stored",
            source=stored.path,
            remedy="Install napari-resonance again"
            if entry.is_synthetic
            else f"Delete the file, then: resonance models download {entry.name}",
        )
    return read_checkpoint(stored.path)


def install_file(entry: Pretrained, file: Path) -> Stored:
    """Copy a file given by hand to where `stored_file` looks for it.

    Whether it is the right network must be known before.

    Raises
    ------
    ModelError
        If there is no room, or the weights come with this package.

    """
    if entry.is_synthetic:
        raise ModelError(
            "these weights come with this package",
            source=entry.name,
            remedy="Use the name; to begin from another file, give its path",
        )
    path = _place(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with _full_disk_named(entry, path.parent):
            shutil.copyfile(file, part)
            sha256 = file_sha256(part)
            part.replace(path)
            _write_note(path, sha256, verified=False, source=str(file))
    finally:
        part.unlink(missing_ok=True)
    return Stored(path, sha256)


def download(entry: Pretrained, *, progress: Progress = no_progress) -> Stored:
    """Fetch a network's weights from the Hugging Face hub, or a mirror of it.

    ``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` a token, ``HF_HUB_OFFLINE=1`` forbids
    connections, and ``RESONANCE_CACHE`` names the folder. What arrived of a download
    that was cut is kept, and the next one goes on from there. The sha256 must be the
    one that the server named.

    Raises
    ------
    ModelError
        In one sentence with a remedy, whatever went wrong.

    """
    from filelock import FileLock, Timeout

    path = _place(entry)
    with _full_disk_named(entry, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        with lock.acquire(timeout=0), _named(entry):
            return _download(entry, path, progress)
    except Timeout as error:
        raise ModelError(
            "another process is fetching these weights",
            source=entry.name,
            remedy="Wait until it is done",
        ) from error


def _download(entry: Pretrained, path: Path, progress: Progress) -> Stored:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    endpoint = _endpoint(entry)
    url = hf_hub_url(entry.repository, entry.filename, endpoint=endpoint)
    headers = build_hf_headers(library_name="napari-resonance")
    metadata = get_hf_file_metadata(url, headers=headers, endpoint=endpoint)
    wanted = metadata.etag or ""
    # The remains of another version of the file must not be continued.
    part = path.with_name(f".{path.name}.{re.sub(r'[^0-9A-Za-z]', '', wanted)}.part")
    part.touch()
    if metadata.size is not None and part.stat().st_size > metadata.size:
        os.truncate(part, 0)  # no download of ours; the server could not go on from it
    _check_space(entry, path.parent, (metadata.size or 0) - part.stat().st_size)
    total = metadata.size or entry.megabytes * 10**6
    with _Counted(part, total, f"fetching {entry.name}", progress) as file:
        done = file.seek(0, io.SEEK_END)
        http_get(
            url,
            file,
            resume_size=done,
            headers=headers,
            expected_size=metadata.size,
            _tqdm_bar=cast("Any", _NoBar()),
        )
    sha256 = file_sha256(part)
    if _SHA256.fullmatch(wanted) and sha256 != wanted:
        part.unlink()
        raise ModelError(
            "the weights are not what the server says they are: their sha256 differs",
            source=url,
            remedy=f"Try again, or use another mirror (HF_ENDPOINT). {_BY_HAND}",
        )
    _check_is_no_page(part, url)
    part.replace(path)
    for stale in path.parent.glob(f".{path.name}.*.part"):
        stale.unlink()
    verified = bool(_SHA256.fullmatch(wanted))
    _write_note(path, sha256, verified=verified, source=url)
    return Stored(path, sha256, verified)


def _endpoint(entry: Pretrained) -> str | None:
    """Return the mirror that ``HF_ENDPOINT`` names, None where it names none."""
    endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ModelError(
            f"HF_ENDPOINT is no address of a server: {endpoint!r}",
            source=entry.name,
            remedy=f"Begin it with https://. {_BY_HAND}",
        )
    return endpoint or None


def _check_is_no_page(part: Path, url: str) -> None:
    """Refuse what a proxy or a login put in the place of the weights."""
    try:
        is_empty = not start_of_weights(part)
    except ModelError:
        is_empty = False
    else:
        if not is_empty:
            return
    part.unlink()
    what = "nothing" if is_empty else "a page or message"
    raise ModelError(
        f"the server gave {what} in place of the weights",
        source=url,
        remedy=f"Log in to the network, or set HF_ENDPOINT to a mirror. {_BY_HAND}",
    )


class _Counted(io.BufferedRandom):
    """A file that reports how much of it has been written."""

    def __init__(self, path: Path, total: int, text: str, progress: Progress) -> None:
        super().__init__(io.FileIO(path, "r+"))
        self._total = total
        self._text = text
        self._progress = progress

    def write(self, data: Any, /) -> int:
        """Write, then report."""
        written = super().write(data)
        self._progress(min(self.tell(), self._total), self._total, self._text)
        return written


class _NoBar:
    """In the place of the hub's own bar, which would be drawn over ours."""

    def update(self, n: float = 1) -> None:
        """Draw nothing."""


@contextmanager
def _named(entry: Pretrained) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence with a remedy."""
    from huggingface_hub import errors

    # The client's HTTP library has changed its name twice; this is its base error.
    http_errors = cast("tuple[type[Exception], ...]", errors.HfHubHTTPError.__bases__)
    mirror = "Check the connection, or set HF_ENDPOINT to a mirror that you can reach"
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise ModelError(
            "the weights are not on disk, and HF_HUB_OFFLINE forbids to fetch them",
            source=entry.name,
            remedy=f"Unset it. {_BY_HAND}",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refused(entry, error.response.status_code) from error
    except http_errors as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise _disk_error(entry, _place(entry).parent, error) from error
        raise ModelError(
            f"the weights could not be fetched ({_first_line(error)})",
            source=entry.name,
            remedy=f"{mirror}; what has arrived is kept. {_BY_HAND}",
        ) from error


def _refused(entry: Pretrained, status: int) -> ModelError:
    where = os.environ.get("HF_ENDPOINT") or "the Hugging Face hub"
    if status in (401, 403):
        remedy = "Set HF_TOKEN to a token that may read it"
    elif status == 404:
        remedy = f"See {entry.source}"
    else:
        remedy = "Try again later, or set HF_ENDPOINT to a mirror"
    what = {401: "does not give out", 403: "does not give out", 404: "does not have"}
    said = what.get(status, "cannot give out")
    return ModelError(
        f"{where} {said} {entry.repository}/{entry.filename} (HTTP {status})",
        source=entry.name,
        remedy=f"{remedy}. {_BY_HAND}",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:150].rstrip(".") or type(
        error
    ).__name__


def _check_space(entry: Pretrained, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        text = f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free"
        raise _disk_error(entry, folder, OSError(errno.ENOSPC, text))


def _disk_error(entry: Pretrained, folder: Path, error: OSError) -> ModelError:
    why = (error.strerror or str(error)).lower()
    return ModelError(
        f"the weights of {entry.name} cannot be stored here ({why})",
        source=folder,
        remedy="Make room, or set RESONANCE_CACHE to a folder that has it",
    )


@contextmanager
def _full_disk_named(entry: Pretrained, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _disk_error(entry, folder, error) from error


def _place(entry: Pretrained) -> Path:
    suffix = Path(entry.filename).suffix or ".pth"
    return cache_folder() / "pretrained" / f"{entry.name}{suffix}"


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_note(path: Path, sha256: str, *, verified: bool, source: str) -> None:
    note = {"sha256": sha256, "verified": verified, "source": source}
    _note(path).write_text(json.dumps(note, indent=2), encoding="utf-8")


def _read_note(path: Path) -> Mapping[str, Any]:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a file that somebody put there without a note is still a file
    return note if isinstance(note, dict) else {}
