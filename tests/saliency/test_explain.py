"""One function for every method: what it answers, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import spot_bundle, tiny_bundle
from support.phantoms import phantom

from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.errors import CancelledError, ResonanceError, SaliencyError
from napari_resonance.reading import read_scan
from napari_resonance.saliency.explain import Explanation, explain, explanation_of
from napari_resonance.saliency.faithfulness import faithfulness
from napari_resonance.saliency.methods import METHODS
from napari_resonance.saliency.question import ExplainOptions
from napari_resonance.samples import sample_path

SCAN = phantom("oblique")[0]


@pytest.fixture(scope="module", params=[2, 3])
def tiny(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    return load_classifier(tiny_bundle(folder, dimensions=request.param))


def _options(method: str, **wanted: Any) -> ExplainOptions:
    """Return options with few windows, for tests."""
    window = 30.0 if METHODS[method].takes_window else None
    return ExplainOptions(method, **{"target": "a", "window_mm": window} | wanted)


@pytest.mark.parametrize("method", METHODS)
def test_a_contrast_is_the_difference_of_two_maps(tiny: Classifier, method: str):
    both = explain(tiny, SCAN, _options(method, against="b")).saliency
    assert both.target == "a rather than b"
    if method in ("gradcam++", "fused-cam", "occlusion"):  # not linear in the score
        turned = _options(method, target="b", against="a")
        expected = -explain(tiny, SCAN, turned).saliency.values
    else:
        one, other = (
            explain(tiny, SCAN, _options(method, target=t)).saliency.values
            for t in "ab"
        )
        expected = one - other
    scale = np.abs(both.values).max()
    assert scale > 0
    np.testing.assert_allclose(both.values, expected, atol=1e-3 * scale)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "occlusion"])
def test_classify_gives_the_same_map(tiny: Classifier, method: str):
    explained = explain(tiny, SCAN, _options(method, window_mm=None))
    prediction = tiny.classify(SCAN, saliency=method, target="a")
    assert prediction.saliency is not None
    np.testing.assert_array_equal(prediction.saliency.values, explained.saliency.values)
    assert prediction.probabilities == explained.prediction.probabilities


def test_the_sign_is_chosen_last_and_loses_nothing(tiny: Classifier):
    maps = {
        sign: explain(tiny, SCAN, _options("gradcam", sign=sign)).saliency
        for sign in ("for", "against", "both")
    }
    values = maps["for"].values
    for sign, expected in (
        ("for", np.maximum(values, 0)),
        ("against", np.maximum(-values, 0)),
        ("both", values),
    ):
        np.testing.assert_array_equal(maps[sign].values, values)
        np.testing.assert_array_equal(maps[sign].shown, expected)
    assert maps["against"].claim == "against a"
    assert maps["both"].claim == "for and against a"


def test_without_a_target_the_likeliest_label_is_explained(tiny: Classifier):
    found = explain(tiny, SCAN)
    assert found.options.target == found.saliency.target == found.prediction.label
    assert found.prediction.saliency is found.saliency


def _rise(classifier: Classifier, found: Explanation) -> float:
    """Return what the score of the scan has over that of the baseline."""
    array = found.case.network_input.array
    without = classifier.run(np.full_like(array, array.mean()))
    return float((found.answer.logits - without.logits).mean(axis=0) @ found.score)


@pytest.mark.parametrize("target", ["a", "b", "c"])
def test_integrated_gradients_add_up_to_the_rise_of_the_score(
    tiny: Classifier, target: str
):
    found = explain(tiny, SCAN, _options("integrated-gradients", target=target))
    values = found.saliency.values
    # Random weights raise the score by a hundredth of what speaks for and against.
    error = abs(values.sum(dtype=np.float64) - _rise(tiny, found))
    assert error <= 1e-3 * np.abs(values).sum(dtype=np.float64)


def test_integrated_gradients_of_the_embedded_model_add_up_to_a_thousandth():
    classifier = load_classifier("mr-sequence", "cpu")
    scan = read_scan(sample_path("icbm-t1"))
    found = explain(classifier, scan, _options("integrated-gradients", target="T1w"))
    total = float(found.saliency.values.sum(dtype=np.float64))
    assert total == pytest.approx(_rise(classifier, found), rel=1e-3)


def test_a_notice_says_that_torch_made_the_map(tiny: Classifier):
    by_engine = explain(tiny, SCAN, ExplainOptions("gradcam"))
    assert not by_engine.notices
    assert by_engine.forwards == 1
    by_torch = explain(tiny, SCAN, ExplainOptions("gradient-x-input"))
    assert "made by torch on cpu; the answer is from openvino" in by_torch.notices[0]


@pytest.mark.parametrize(
    ("asked", "is_said"), [(18.0, False), (1e6, True), (0.1, True)]
)
def test_a_window_that_does_not_fit_is_said_to_be_another(tiny, asked, is_said):
    found = explain(tiny, SCAN, _options("occlusion", window_mm=asked))
    notices = [n for n in found.notices if f"a window of {asked:g} mm" in n]
    assert len(notices) == is_said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "guided-backprop"}, "no saliency method 'guided-backprop'. Use"),
        ({"target": "cat"}, "no label 'cat'. Its labels are a, b, c"),
        ({"target": "a", "against": "a"}, "contrasted with itself"),
        ({"sign": "up"}, "no sign 'up'. Use for, against, both"),
        ({"layer": "layer9"}, "no layer 'layer9'. Use conv1, layer1, layer2, layer3"),
        ({"layer": "fc"}, "'fc' gives no feature map"),
        ({"method": "gradient-x-input", "layer": "layer3"}, "looks at no layer"),
        ({"window_mm": 30.0}, "'gradcam' covers no part of .* or use occlusion"),
        ({"method": "fused-cam", "baseline": "blur"}, "compares the scan with nothing"),
    ],
)
def test_what_cannot_be_explained_is_refused(tiny: Classifier, options, sentence):
    with pytest.raises(ResonanceError, match=sentence):
        explain(tiny, SCAN, ExplainOptions(**options))


def test_a_single_cell_says_nothing_of_a_place(tmp_path: Path):
    finder = load_classifier(spot_bundle(tmp_path / "b", shape=(8, 8, 8)))
    with pytest.raises(SaliencyError, match=r"single cell.*too small.*'layer3'"):
        explain(finder, SCAN)
    with pytest.raises(SaliencyError, match=r"'layer4'\) is a single cell") as caught:
        explain(finder, SCAN, ExplainOptions(layer="layer4"))
    assert "('layer3', 'layer2', 'layer1', 'conv1')" in str(caught.value)
    with pytest.raises(SaliencyError, match=r"single cell.*Grad-CAM of an earlier"):
        explain(finder, SCAN, ExplainOptions("fused-cam"))
    earlier = explain(finder, SCAN, ExplainOptions(layer="layer3")).saliency
    assert earlier.values.shape == (2, 2, 2)
    answer = finder.classify(SCAN, saliency="gradcam")
    assert answer.saliency is None
    assert "there is no map" in answer.warnings[-1]


@pytest.mark.parametrize("method", METHODS)
def test_it_stops_between_steps(tiny: Classifier, method: str):
    texts: list[str] = []

    def progress(_done: int, _total: int, text: str) -> None:
        texts.append(text)

    explain(tiny, SCAN, _options(method), progress=progress)
    begun = len(texts) - 1  # and the end
    texts.clear()
    with pytest.raises(CancelledError):
        explain(
            tiny,
            SCAN,
            _options(method),
            progress=progress,
            should_stop=lambda: len(texts) == begun - 1,
        )


def test_the_last_layer_by_name_is_the_last_feature_map(tiny: Classifier):
    for method in ("gradcam", "gradcam++", "hirescam"):
        closed = explain(tiny, SCAN, ExplainOptions(method)).saliency
        hooked = explain(tiny, SCAN, ExplainOptions(method, layer="layer4")).saliency
        np.testing.assert_allclose(hooked.affine, closed.affine)
        scale = np.abs(closed.values).max()
        np.testing.assert_allclose(hooked.values, closed.values, atol=1e-3 * scale)


def test_a_map_that_is_there_is_taken_up_for_measuring(tiny: Classifier):
    options = _options("gradcam")
    found = explain(tiny, SCAN, options)
    asked = (found.case, found.answer, found.prediction)
    again = explanation_of(tiny, asked, options, found.saliency)
    assert again.saliency is found.saliency
    np.testing.assert_array_equal(again.score, found.score)
    measured = [faithfulness(tiny, one).to_json() for one in (found, again)]
    assert measured[0] == measured[1]
    for other in (_options("occlusion"), _options("gradcam", target="b")):
        with pytest.raises(SaliencyError, match="the map is gradcam of a"):
            explanation_of(tiny, asked, other, found.saliency)
