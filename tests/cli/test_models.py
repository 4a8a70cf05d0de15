"""``resonance models``: what comes with the package."""

from __future__ import annotations


def test_list_names_the_embedded_models(resonance, embedded):
    ran = resonance("models", "list")
    assert ran.code == 0
    assert "T1w, T2w, FLAIR" in ran.out
    (model,) = resonance("models", "list", "--json").document["models"]
    assert model["labels"] == ["T1w", "T2w", "FLAIR"]
    assert model["dimensions"] == 3
    assert len(model["model_sha256"]) == 64


def test_show_prints_the_card_by_name_or_folder(resonance, embedded):
    for name in ("mr-sequence", embedded):
        ran = resonance("models", "show", name)
        assert ran.code == 0
        assert "T1w, T2w, FLAIR" in ran.out
        assert "Research use only" in ran.out
        assert max(len(line) for line in ran.out.splitlines()) <= 80
    model = resonance("models", "show", embedded, "--json").document["model"]
    assert model["path"] == str(embedded)
    assert model["weights_bytes"] > 0


def test_show_of_an_unknown_model_is_one_sentence(resonance, embedded):
    ran = resonance("models", "show", "nothing")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: nothing: ")
    assert len(ran.err.splitlines()) == 1
