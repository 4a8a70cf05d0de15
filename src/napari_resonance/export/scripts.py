"""Text of any script in pictures: with fonts of the system, and without a fuss."""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that pictures are the same everywhere."""

# What Linux, Windows and macOS have for Chinese, Japanese, Korean, Thai and Indic.
_OF_SYSTEMS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("Microsoft YaHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "SimHei"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Noto Sans Thai", "Noto Sans Devanagari", "Nirmala UI", "Leelawadee UI"),
)


def fonts_for(text: str) -> list[str]:
    """Return the fonts that a text needs, the usual one first.

    Where the system has none for its script, boxes stand for the letters.
    """
    foreign = any("\u0900" <= c < "\u1e00" or c >= "\u2e80" for c in text)
    return [FONT, *_installed()] if foreign else [FONT]


def is_drawable(text: str) -> bool:
    """Tell whether these fonts have all signs of a text, in the order they are read."""
    from matplotlib.font_manager import findfont, get_font

    signs: set[int] = set()
    for name in fonts_for(text):
        signs |= get_font(findfont(name)).get_charmap().keys()
    return not is_leftward(text) and all(ord(sign) in signs for sign in text)


def is_leftward(text: str) -> bool:
    """Tell whether any of a text is read from right to left."""
    return any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)


@cache
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    there = {entry.name for entry in fontManager.ttflist}
    return tuple(name for name in _OF_SYSTEMS if name in there)


@contextmanager
def any_script() -> Iterator[None]:
    """Say nothing of signs that no font has, nor of fonts that are not bold."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            warnings.filterwarnings("ignore", "Matplotlib currently does not support")
            yield
    finally:
        log.setLevel(before)
