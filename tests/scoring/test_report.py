"""The report: what it says, that it can do no harm, and how a browser shows it."""

import base64
import html.parser
import json
import re
import zlib

import pytest
from support.browser import browser

from napari_resonance.scoring import report
from napari_resonance.scoring.report import write_report

EVIL = "</script><img src=x onerror=\"document.title='harm'\"><b>{{7*7}}</b>"
RECORD = {
    "version": "0.1.0",
    "scans": 5,
    "models": [{"name": "heads", "sha256": "ab" * 32}],
    "options": {"force": False, "identifiers": True},
    "left_out": {"a report, not a scan": 2},
}


def row(source, **given):
    scored = {
        "source": source,
        "model": "heads",
        "status": "scored",
        "label": "T1w",
        "probability": 0.97,
        "sure": True,
        "out_of_distribution": 0.4,
        "out_of_distribution_why": "",
        "warnings": [],
        "error": None,
        "duplicate_of": None,
    }
    return scored | given


def failed(source, error):
    nothing = {"label": None, "probability": None, "sure": None}
    return row(source, status="failed", error=error, **nothing)


ROWS = [
    row("p1/t1", picture="saliency/1.png"),
    row("p10/t1", probability=0.55, sure=False, label="T2w"),
    row("p2/t1", out_of_distribution=1.8, out_of_distribution_why="it is too dark"),
    row("p3/t1", duplicate_of="p1/t1"),
    failed("p4/t1", "The file is cut."),
    failed(EVIL, "The file is cut."),
]


def chunk(kind, data):
    check = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + check


def square(value):
    """A PNG file of 8 × 8 grey pixels."""
    head = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    lines = zlib.compress((b"\0" + bytes([value]) * 8) * 8)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", lines), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Page(html.parser.HTMLParser):
    """Collects the elements of a page, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append(data)


@pytest.fixture
def page(tmp_path):
    (tmp_path / "saliency").mkdir()
    (tmp_path / "saliency/1.png").write_bytes(square(90))
    path = write_report(ROWS, RECORD, tmp_path / "report.html")
    return path.read_text("utf-8")


def test_states_and_causes_are_counted(page):
    counts = re.findall(r"<b>(\d+)</b>(?:<i[^>]*></i>)?([a-z ]+)</div>", page)
    assert {name: int(n) for n, name in counts} == {
        "scored": 4,
        "failed": 2,
        "skipped": 0,
        "sure": 2,
        "unsure": 1,
        "unlike its training data": 1,
        "copies of another": 1,
    }
    assert "<td>2</td><td>The file is cut.</td>" in page
    assert "<td>2</td><td>a report, not a scan</td>" in page
    assert "ab" * 32 in page


def test_text_from_files_stays_text(page):
    parsed = Page(page)
    assert "img" not in [tag for tag, _ in parsed.elements]
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    # The rows are all there, the dangerous one unchanged.
    data = json.loads(parsed.scripts[0])
    assert data["rows"][5][0] == EVIL
    assert base64.b64decode(data["pictures"]["0"]) == square(90)


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in Page(page).elements:
        assert tag not in ("link", "iframe", "object")
        assert not {"src", "href"} & attributes.keys(), tag
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_what_scans_are_called_is_counted_where_a_model_says_so(page, tmp_path):
    assert "<th>Called so</th>" not in page
    called = [one | {"called": "T2w" if one["label"] else None} for one in ROWS]
    text = write_report(called, RECORD, tmp_path / "r.html").read_text("utf-8")
    assert "<tr><td>T1w</td><td>3</td><td>0</td></tr>" in text
    assert "<tr><td>T2w</td><td>1</td><td>4</td></tr>" in text
    assert json.loads(Page(text).scripts[0])["rows"][0][5] == "T2w"


def test_a_report_of_many_rows_says_what_it_leaves_out(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MOST_ROWS", 3)
    path = write_report(iter(ROWS), RECORD, tmp_path / "r.html")
    text = path.read_text("utf-8")
    assert "The first 3 of 6 rows; scores.csv holds all." in text
    assert len(json.loads(Page(text).scripts[0])["rows"]) == 3


def test_a_browser_shows_the_table_and_nothing_in_it_runs(page, tmp_path):
    # A click on "Scan" sorts numbers as numbers; a word narrows the table.
    script = """<script>{
    document.querySelector("#scans thead button").click();
    const names = () => [...document.querySelectorAll("#scans tbody tr")]
      .map(r => r.firstChild.textContent);
    const sorted = names();
    const words = document.getElementById("words");
    words.value = "dark"; words.dispatchEvent(new Event("input"));
    const dark = names();
    words.value = ""; words.dispatchEvent(new Event("input"));
    const seen = {sorted, dark, pictures: document.querySelectorAll("td img").length};
    const said = document.createElement("pre"); said.id = "seen";
    said.textContent = btoa(JSON.stringify(seen)); document.body.append(said);
    }</script></body>"""
    shown = tmp_path / "shown.html"
    shown.write_text(page.replace("</body>", script), "utf-8")
    done = browser("--dump-dom", shown.as_uri())
    match = re.search(r'<pre id="seen">([^<]+)</pre>', done.stdout)
    assert match, done.stderr[-2000:]
    seen = json.loads(base64.b64decode(match[1]))
    plain = [name for name in seen["sorted"] if name != EVIL]
    assert plain == ["p1/t1", "p2/t1", "p3/t1", "p4/t1", "p10/t1"]
    assert EVIL in seen["sorted"]
    assert seen["dark"] == ["p2/t1"]
    assert seen["pictures"] == 1
    assert "<title>Scores</title>" in done.stdout
