"""Errors: what is wrong, where, and the way out."""

from pathlib import Path

import pytest

from napari_resonance import errors
from napari_resonance.errors import ReadError, ResonanceError


def test_text_is_source_message_and_remedy() -> None:
    error = ReadError("the file is cut short", source="a.nii", remedy="Copy it again")
    assert str(error) == "a.nii: the file is cut short. Copy it again"


@pytest.mark.parametrize(
    ("source", "remedy", "text"),
    [
        (None, None, "it is empty"),
        ("x", None, "x: it is empty"),
        (None, "Fill it", "it is empty. Fill it"),
    ],
)
def test_text_leaves_out_what_is_unknown(
    source: str | None, remedy: str | None, text: str
) -> None:
    assert str(ResonanceError("it is empty", source=source, remedy=remedy)) == text


def test_json_names_the_kind_and_takes_paths() -> None:
    assert ReadError("no", source=Path("a") / "b", remedy="Try").to_json() == {
        "type": "ReadError",
        "message": "no",
        "source": str(Path("a") / "b"),
        "remedy": "Try",
    }


def test_every_error_is_caught_by_the_base_class() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert len(classes) > 5
    assert all(issubclass(c, ResonanceError) for c in classes)
    assert all(c.__doc__ for c in classes)
