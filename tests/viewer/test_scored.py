"""What the window reads of a scoring that something else began, with other options."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scoring import load_with_point, run, write_scan

from napari_resonance import ScoreOptions, score
from napari_resonance.errors import ModelError, TrainingError
from napari_resonance.progress import never, no_progress
from napari_resonance.viewer.score_rows import (
    REJECTED,
    cases_of,
    read_verdicts,
    write_verdicts,
)
from napari_resonance.viewer.scored import explain, load_scores, save_labels


def test_a_forced_scoring_is_listed_too(tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "odd.nii", -5)
    run(tmp_path / "in", tmp_path / "out", force=True)
    (row,) = load_scores(tmp_path / "out", no_progress, never).rows
    assert (row.source, row.label, row.problem) == ("odd.nii", "dark", "")


def test_the_window_reads_what_a_scan_is_called(tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "scan.nii", 35)
    out, options = tmp_path / "out", ScoreOptions(readers=0)
    score(tmp_path / "in", "stub", out=out, options=options, load=load_with_point)
    (row,) = load_scores(out, no_progress, never).rows
    assert (row.label, row.called, row.verdict) == ("dark", "bright", "bright")


def test_a_map_is_of_the_model_that_answered(tmp_path: Path, bundle: Path) -> None:
    write_scan(tmp_path / "in" / "scan.nii", 35)
    run(tmp_path / "in", tmp_path / "out")
    (row,) = load_scores(tmp_path / "out", no_progress, never).rows
    with pytest.raises(ModelError, match="replaced since it answered"):
        explain(row, bundle, no_progress, never)


def test_regions_of_a_scan_are_rows_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_scan(tmp_path / "scan.nii", 70)
    table = tmp_path / "regions.csv"
    lines = ["path,center_x,center_y,center_z", "scan.nii,1,2,3", "scan.nii,0.5,1,2"]
    table.write_text("\n".join(lines))
    run(table, out)
    rows = load_scores(out, no_progress, never).rows
    assert [row.region for row in rows] == ["1, 2, 3", "0.5, 1, 2"]
    verdicts = {rows[0].key: "bright", rows[1].key: "dark"}
    write_verdicts(out, verdicts)
    assert read_verdicts(out) == verdicts
    path = save_labels(rows, verdicts, out / "labels.csv", no_progress, never)
    head, *found = path.read_text().splitlines()
    assert "center_x" in head
    assert len(found) == 2


def test_verdicts_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "verdicts.csv").write_text("source,series,model,verdict\na,1,m,dark\n")
    assert read_verdicts(tmp_path) == {("a", "1", "m", "", ""): "dark"}


def test_echoes_of_one_series_are_rows_of_their_own(
    tmp_path: Path, shared_data: Path
) -> None:
    run(shared_data / "dicom_reference/dual_echo/dicom", tmp_path / "out", force=True)
    one, two = load_scores(tmp_path / "out", no_progress, never).rows
    assert (one.source, one.series) == (two.source, two.series)
    assert one.key != two.key
    verdicts = {one.key: "dark"}
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path) == verdicts
    # The table has a column for the series, and none for the echo.
    with pytest.raises(TrainingError, match="several scans of its series"):
        cases_of([one, two], verdicts)
    assert cases_of([one, two], {one.key: REJECTED}) == []
