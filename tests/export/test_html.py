"""The report of answers as one HTML file."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from support.phantoms import phantom
from support.results import prediction, saliency_at

from napari_resonance.export.answer_text import answer_text
from napari_resonance.export.html import ReportedAnswer, write_answers
from napari_resonance.export.privacy import picture_risks


class Tags(HTMLParser):
    """Collects what a page loads and runs."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [str(v) for k, v in attrs if k in ("src", "href")]


def test_a_report_holds_everything_and_runs_nothing(tmp_path: Path) -> None:
    scan, mm = phantom()
    odd = prediction(
        saliency=saliency_at(scan, mm),
        sure=False,
        prediction_set=("T1w", "T2w"),
        warnings=("<script>alert(1)</script> is odd",),
        center_mm=(1.0, 2.0, 3.0),
    )
    named = ReportedAnswer(
        "MR <b>T1</b>", scan, odd, "left side", "2026-03-01T14:05:33"
    )
    path = tmp_path / "answers.html"
    write_answers([named, ReportedAnswer("plain", scan, prediction())], path)
    text = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.names
    assert len(tags.sources) == 2
    assert all(s.startswith("data:image/png;base64,") for s in tags.sources)
    assert "MR &lt;b&gt;T1&lt;/b&gt;" in text
    for said in (
        "2 answers",
        "it could also be T2w",
        "left side",
        "ab12" * 16,
        "2026-03-01 14:05:33",
        "Research use only",
        "1 mm R, 2 mm A, 3 mm S",
    ):
        assert said in text
    assert "head.nii.gz" not in text


def test_an_answer_is_told_in_words_without_the_file() -> None:
    scan, mm = phantom()
    text = answer_text(prediction(saliency=saliency_at(scan, mm)), "left side")
    assert text.splitlines() == [
        "T1w, 97.3 % (sure)",
        "T1w 97.3 %; T2w 2.0 %; FLAIR 0.7 %",
        "Grad-CAM for T1w: left side",
        "Model mr-sequence, weights ab12ab12ab12ab12, recipe cd34cd34cd34cd34",
        "Research use only, not a medical device.",
    ]


def test_pictures_that_give_people_away_are_warned_of() -> None:
    def risks(body: str = "", **fields: object) -> int:
        return len(picture_risks(phantom(**fields)[0], body))

    assert risks() == 0
    assert risks("head") == 1
    assert risks("chest", meta={"body_part_examined": "BRAIN"}) == 1
    assert risks("head", meta={"body_part_examined": "FOOT"}) == 0
    assert risks(modality="US") == 1
    assert risks(modality="US", meta={"burned_in_annotation": "NO"}) == 0
    assert risks(modality="MR", meta={"burned_in_annotation": "YES"}) == 1
