"""How much memory there is, where Linux limits what a container or job may take."""

import pytest

from napari_resonance import memory
from napari_resonance.memory import available_memory, total_memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MINE", tmp_path / "mine")
    return tmp_path


def test_there_is_some_and_no_more_than_in_all(groups):
    assert 100e6 < available_memory() <= total_memory()


def write(folder, values):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


def test_a_job_of_a_cluster_has_what_the_narrowest_of_its_groups_has(groups):
    (groups / "mine").write_text("0::/slurm/job7/step\n")
    write(groups / "slurm/job7/step", {"memory.max": "max"})
    stat = "anon 5000\ninactive_file 1000"
    job = {"memory.max": 10**7, "memory.current": 6000, "memory.stat": stat}
    write(groups / "slurm/job7", job)
    wide = {"memory.max": 10**15, "memory.current": 9000, "memory.stat": stat}
    write(groups / "slurm", wide)
    assert total_memory() == 10**7
    assert available_memory() == 10**7 - 5000  # caches give way


def test_a_container_sees_its_own_group_at_the_top(groups):
    (groups / "mine").write_text("3:cpu:/\n4:memory,hugetlb:/docker/abc\n")
    values = {
        "memory.limit_in_bytes": 10**7,
        "memory.usage_in_bytes": 2 * 10**7,
        "memory.stat": "inactive_file 1\ntotal_inactive_file 0",
    }
    write(groups / "memory", values)
    assert total_memory() == 10**7
    assert available_memory() == 0
