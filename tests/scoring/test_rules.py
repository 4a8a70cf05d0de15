"""Rules that choose series: what they mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_resonance.errors import ScoringError
from napari_resonance.scoring.rules import parse_rule

SCAN = {
    "modality": "MR",
    "description": "T1 MPRAGE sag",
    "source": "p1/s2",
    "columns": 256,
    "rows": 256,
    "slices": 160,
    "volumes": 1,
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("modality=MR", True),
        ("modality = mr", True),
        ("modality!=MR", False),
        ("modality=MR and slices>=160", True),
        ("modality=MR and slices>160", False),
        ("slices<20 or rows=256", True),
        ("not slices<20", True),
        ("not (modality=CT or modality=MR)", False),
        ('description~"mprage SAG"', True),
        ("description~'t2'", False),
        ("slices>=20 AND Modality=MR", True),
        # "and" binds more strongly than "or".
        ("modality=MR or modality=CT and slices<2", True),
        ("(modality=MR or modality=CT) and slices<2", False),
        # A quoted word is a value, whatever it says.
        ('description!="and"', True),
    ],
)
def test_a_rule_means_what_it_says(rule, expected):
    assert parse_rule(rule)(SCAN) is expected


def test_what_is_not_known_does_not_hold_either_way():
    assert not parse_rule("modality=MR")({})
    assert not parse_rule("modality!=MR")({})
    assert not parse_rule("slices>=0")({"modality": "MR"})


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "is needed instead of its end"),
        ("modality", "a sign such as = or >= is needed"),
        ("modality=", "a value is needed instead of its end"),
        ("modality=MR slices>2", "'and' or 'or' is missing before 'slices'"),
        ("(modality=MR", "')' is missing"),
        ("modality=MR)", "is missing before ')'"),
        ("shoesize>4", "can be asked for, not 'shoesize' (character 1)"),
        ("slices>=many", "compared with a number"),
        ("slices~2", "compared with a number"),
        ("modality>MR", "compared by = != or ~"),
        ('description~"open', "a quote is not closed"),
        ("__import__('os')", "can be asked for"),
        ("not " * 80 + "slices>1", "nested"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(rule, words):
    with pytest.raises(ScoringError) as caught:
        parse_rule(rule)
    assert words in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_clear_error(text):
    try:
        rule = parse_rule(text)
    except ScoringError:
        return
    assert rule(SCAN) in (True, False)
