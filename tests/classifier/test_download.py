"""Fetching weights from a hub on this machine, which fails in every way it can."""

import errno
import hashlib
import shutil

import pytest
from filelock import FileLock
from huggingface_hub import constants, file_download
from support.hub import Hub, serving

from napari_resonance.classifier import download as downloading
from napari_resonance.classifier.catalogue import CATALOGUE, pretrained_entry
from napari_resonance.classifier.download import (
    download,
    fetched_tensors,
    install_file,
    is_on_disk,
    stored_file,
)
from napari_resonance.errors import CancelledError, DependencyError, ModelError

ENTRY = pretrained_entry("medicalnet-10")
PLACE = f"{ENTRY.repository}/{ENTRY.filename}"
CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a hub that has the file; caches are empty, and waiting takes no time."""
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 65536)
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    with serving(Hub({PLACE: CONTENT})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served


def refused(match):
    with pytest.raises(ModelError, match=match) as caught:
        download(ENTRY)
    assert caught.value.source
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_mirror_gives_the_file_once_with_progress_and_its_sha256(hub):
    seen = []
    assert not is_on_disk(ENTRY)
    stored = download(ENTRY, progress=lambda *told: seen.append(told))
    assert stored.path.read_bytes() == CONTENT
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored.verified
    assert seen[-1] == (len(CONTENT), len(CONTENT), "fetching medicalnet-10")
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert stored_file(ENTRY) == stored
    assert is_on_disk(ENTRY)
    assert {path for _, path, _ in hub.requests} == {
        f"/{ENTRY.repository}/resolve/main/{ENTRY.filename}"
    }
    assert sorted(p.name for p in stored.path.parent.glob("*.*")) == [
        ".medicalnet-10.pth.lock",
        "medicalnet-10.pth",
        "medicalnet-10.pth.json",
    ]


def test_a_cut_connection_is_taken_up_where_it_broke(hub):
    hub.cut_after = [300_000, 500_000]
    assert download(ENTRY).path.read_bytes() == CONTENT
    ranges = [wanted for method, _, wanted in hub.requests if method == "GET"]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(wanted.startswith("bytes=") for wanted in ranges[1:])


def test_what_arrived_before_the_program_ended_is_not_fetched_again(hub):
    hub.cut_after = [300_000, *[0] * 50]
    refused("could not be fetched")
    hub.cut_after = []
    hub.requests.clear()
    assert download(ENTRY).path.read_bytes() == CONTENT
    (wanted,) = [wanted for method, _, wanted in hub.requests if method == "GET"]
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").rstrip("-")) >= 4 * 65536


def test_the_rest_of_another_version_is_not_appended(hub):
    hub.cut_after = [300_000, *[0] * 50]
    refused("could not be fetched")
    hub.cut_after = []
    hub.files[PLACE] = CONTENT[::-1]
    stored = download(ENTRY)
    assert stored.path.read_bytes() == CONTENT[::-1]
    assert not list(stored.path.parent.glob(".*.part"))


def test_a_rest_that_is_too_long_is_thrown_away(hub):
    hub.cut_after = [300_000, *[0] * 50]
    refused("could not be fetched")
    hub.cut_after = []
    (part,) = downloading._place(ENTRY).parent.glob(".*.part")
    part.write_bytes(CONTENT * 2)
    assert download(ENTRY).path.read_bytes() == CONTENT


def test_progress_may_stop_it(hub):
    def stop(*_):
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        download(ENTRY, progress=stop)
    assert not is_on_disk(ENTRY)


def test_a_wrong_sha256_leaves_nothing(hub):
    hub.wrong_sha256 = True
    error = refused("sha256 differs")
    assert "HF_ENDPOINT" in error.remedy
    assert not is_on_disk(ENTRY)
    assert not list(downloading._place(ENTRY).parent.glob(".*.part"))


def test_the_hub_sends_on_to_another_host(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.elsewhere = True
    assert download(ENTRY).verified
    assert ("GET", "/blob", None) in hub.requests
    stored_file(ENTRY).path.unlink()
    hub.wrong_sha256 = True
    refused("sha256 differs")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Log in", b'{"error": "no"}'])
def test_the_login_page_of_a_network_is_no_weights(hub, page):
    hub.page = page
    error = refused("a page or message in place of the weights")
    assert "Log in" in error.remedy
    assert stored_file(ENTRY) is None
    hub.page = b""
    assert download(ENTRY).verified


def test_an_empty_answer_is_no_weights(hub):
    hub.status = 302  # to nowhere
    refused("gave nothing")
    assert stored_file(ENTRY) is None


@pytest.mark.parametrize("endpoint", ["hf-mirror.com", "ftp://hf-mirror.com"])
def test_a_mirror_is_an_address(hub, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "https://" in refused("HF_ENDPOINT is no address").remedy


def test_a_mirror_may_end_in_a_slash(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f" {hub.endpoint}/ ")
    assert download(ENTRY).verified


def test_a_server_without_sha256_is_told_apart(hub):
    hub.no_sha256 = True
    stored = download(ENTRY)
    assert not stored.verified
    assert not stored_file(ENTRY).verified


@pytest.mark.parametrize(
    ("status", "match", "remedy"),
    [
        (401, "does not give out", "HF_TOKEN"),
        (403, "does not give out", "HF_TOKEN"),
        (404, "does not have", "https://huggingface.co/TencentMedicalNet"),
        (500, "cannot give out", "later"),
    ],
)
def test_a_refusal_names_the_way_out(hub, status, match, remedy):
    hub.status = status
    error = refused(f"{match} .*HTTP {status}")
    assert remedy in error.remedy
    assert "--file" in error.remedy


def test_nobody_there(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "HF_ENDPOINT" in refused("could not be fetched").remedy


def test_offline(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "--file" in refused("HF_HUB_OFFLINE").remedy
    assert hub.requests == []


def test_offline_from_the_hubs_own_cache(hub, tmp_path, monkeypatch):
    repository = (
        tmp_path / "hub-cache" / f"models--{ENTRY.repository}".replace("/", "--")
    )
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (snapshot / ENTRY.filename).write_bytes(CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert stored_file(ENTRY).path == snapshot / ENTRY.filename


def test_no_room_is_known_before_anything_is_fetched(hub, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: usage)
    error = refused("cannot be stored here .*1 mb are needed, 0 mb are free")
    assert "RESONANCE_CACHE" in error.remedy
    assert [method for method, *_ in hub.requests] == ["HEAD"]


def test_a_disk_that_fills_up_meanwhile(hub, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloading._Counted, "write", full)
    assert "RESONANCE_CACHE" in refused("no space left").remedy


def test_a_folder_that_cannot_be_made(hub, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "file"))
    refused("cannot be stored here")


def test_two_at_once(hub):
    place = downloading._place(ENTRY)
    place.parent.mkdir(parents=True)
    with FileLock(place.with_name(f".{place.name}.lock")):
        refused("another process")
    download(ENTRY)


def test_a_file_given_by_hand_is_found_by_name(hub, tmp_path):
    file = tmp_path / "resnet_10.pth"
    file.write_bytes(CONTENT)
    stored = install_file(ENTRY, file)
    assert stored_file(ENTRY) == stored
    assert not stored.verified
    assert stored.path.read_bytes() == CONTENT


def test_weights_that_changed_on_disk_are_refused(hub):
    download(ENTRY).path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="have changed"):
        fetched_tensors(ENTRY)


def test_the_package_is_asked_for_by_its_extra(hub, monkeypatch):
    from napari_resonance.classifier import astra

    monkeypatch.setattr(astra, "_PACKAGE", "no_such_package")
    entry = CATALOGUE["astra-ct-152"]
    assert not is_on_disk(entry)
    with pytest.raises(DependencyError) as caught:
        fetched_tensors(entry)
    assert "napari-resonance[ct]" in caught.value.remedy
