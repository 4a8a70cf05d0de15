"""From a scan to a prediction, and every way in which that may not work out."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bundles import tiny_bundle
from support.phantoms import phantom, time_phantom

from napari_resonance.classifier import predict
from napari_resonance.classifier.bundle import Bundle, load_bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.engines import (
    DeviceLimitError,
    DeviceMemoryError,
    load_network,
)
from napari_resonance.classifier.predict import Classifier, load_classifier
from napari_resonance.classifier.prediction import OutOfDistribution
from napari_resonance.errors import (
    CancelledError,
    ModelError,
    PreprocessingError,
    ResonanceError,
    UnsuitableScanError,
)
from napari_resonance.scan import Scan

SOURCE = Path("study", "scan.nii.gz")


@pytest.fixture(scope="module")
def classifier(saved: Path) -> Classifier:
    return load_classifier(saved)


@pytest.fixture(scope="module")
def flat(saved_flat: Path) -> Classifier:
    return load_classifier(saved_flat)


def _scan(voxels: Any = None, **fields: Any) -> Scan:
    if voxels is None:
        voxels = np.random.default_rng(0).integers(0, 99, (24, 20, 16), np.int16)
    given = {"modality": "MR", "sources": (SOURCE,), **fields}
    return Scan(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), **given)


class _Engine:
    """Gives the answers it was made with."""

    name = "fake"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.batches: list[int] = []

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(batch))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        logits = np.tile(np.asarray(answer, np.float32), (len(batch), 1))
        return logits, np.ones((len(batch), 8, *[5] * (batch.ndim - 2)), np.float32)


def _with_engine(bundle: Bundle, engine: _Engine) -> Classifier:
    made = Classifier(bundle)
    made._engine = engine
    return made


def test_a_prediction_is_complete(classifier):
    prediction = classifier.classify(_scan())
    bundle = classifier.bundle
    assert tuple(prediction.probabilities) == classifier.labels == ("a", "b", "c")
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    best = max(prediction.probabilities, key=prediction.probabilities.get)
    assert prediction.label == best
    assert prediction.probability == prediction.probabilities[best]
    expected = bundle.calibration.probabilities(prediction.logits)
    assert list(prediction.probabilities.values()) == pytest.approx(expected)
    assert prediction.sure is False
    assert prediction.prediction_set is None
    assert prediction.out_of_distribution is None
    assert prediction.per_slice is None
    assert prediction.saliency is None
    assert prediction.source == str(SOURCE)
    assert prediction.model == "tiny"
    assert prediction.model_sha256 == bundle.weights_sha256
    assert prediction.recipe_sha256 == bundle.recipe.sha256
    assert prediction.warnings == ()
    assert prediction.seconds > 0
    json.dumps(prediction.to_json(), allow_nan=False)


def test_it_is_the_same_every_time(classifier):
    first, second = (classifier.classify(_scan(), saliency="gradcam") for _ in range(2))
    assert first.logits == second.logits
    np.testing.assert_array_equal(first.saliency.values, second.saliency.values)


def test_the_map_costs_no_second_forward_pass(bundle):
    engine = _Engine([2.0, 1.0, 0.0])
    prediction = _with_engine(bundle, engine).classify(_scan(), saliency="gradcam")
    assert engine.batches == [1]
    assert prediction.saliency.target == prediction.label == "a"
    assert prediction.saliency.method == "gradcam"


def test_any_label_can_be_explained(classifier):
    prediction = classifier.classify(_scan(), saliency="gradcam")
    others = [
        classifier.classify(_scan(), saliency="gradcam", target=label).saliency
        for label in classifier.labels
    ]
    assert [s.target for s in others] == list(classifier.labels)
    chosen = classifier.labels.index(prediction.label)
    np.testing.assert_array_equal(others[chosen].values, prediction.saliency.values)
    assert not np.array_equal(others[0].values, others[1].values)


def test_a_volume_is_scored_by_the_mean_of_its_slices(flat):
    prediction = flat.classify(_scan(), saliency="gradcam")
    prepared = flat.bundle.recipe.apply(_scan())
    logits, _ = flat._engine.run(prepared.array)
    assert len(logits) == 16
    np.testing.assert_allclose(prediction.logits, logits.mean(axis=0), rtol=1e-4)
    expected = flat.bundle.calibration.probabilities(logits)
    np.testing.assert_allclose(prediction.per_slice, expected, atol=1e-5)
    assert prediction.saliency.values.shape == (5, 5, 16)


def test_slices_go_in_batches(saved_flat):
    engine = _Engine([1.0, 0.0, 0.0])
    voxels = np.random.default_rng(0).integers(0, 99, (9, 9, 37), np.int16)
    _with_engine(load_bundle(saved_flat), engine).classify(_scan(voxels))
    assert engine.batches == [16, 16, 5]


def test_a_single_image_has_no_slices(flat):
    voxels = np.random.default_rng(0).integers(0, 99, (24, 20, 1), np.int16)
    assert flat.classify(_scan(voxels)).per_slice is None


def test_the_first_of_several_volumes_is_used(classifier):
    scan, _ = time_phantom()
    prediction = classifier.classify(scan)
    first = Scan(scan.stored(0), scan.affine, modality="MR")
    assert prediction.logits == classifier.classify(first).logits
    assert prediction.warnings == ("volume 1 of 3 was used",)


@pytest.mark.parametrize("modality", ["MR", ""])
def test_a_fitting_or_unknown_modality_is_taken(classifier, modality):
    assert classifier.classify(_scan(modality=modality)).warnings == ()


def test_another_modality_is_refused(classifier):
    with pytest.raises(UnsuitableScanError, match="for MR, this scan is CT") as caught:
        classifier.classify(_scan(modality="CT"))
    assert caught.value.source == str(SOURCE)
    assert caught.value.remedy


def test_force_turns_the_refusal_into_a_warning(classifier):
    prediction = classifier.classify(_scan(modality="CT"), force=True)
    assert prediction.warnings == ("the model tiny was made for MR, this scan is CT",)


def test_a_single_image_is_refused_by_a_3d_classifier(classifier):
    voxels = np.random.default_rng(0).integers(0, 99, (24, 20, 1), np.int16)
    with pytest.raises(
        UnsuitableScanError, match="volume, this scan is a single image"
    ):
        classifier.classify(_scan(voxels))


@pytest.mark.parametrize("value", [0, 7, -1000])
def test_a_blank_scan_is_refused(classifier, flat, value):
    blank = _scan(np.full((24, 20, 16), value, np.int16))
    for each in (classifier, flat):
        with pytest.raises(PreprocessingError, match="blank") as caught:
            each.classify(blank)
        assert caught.value.source == str(SOURCE)


def test_a_scan_without_finite_values_is_refused(classifier):
    with pytest.raises(PreprocessingError, match="no finite value") as caught:
        classifier.classify(_scan(np.full((24, 20, 16), np.nan, np.float32)))
    assert caught.value.source == str(SOURCE)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_some_values_that_are_not_finite_do_no_harm(classifier, odd):
    voxels = _scan().stored().astype(np.float32)
    voxels[3:5] = odd
    prediction = classifier.classify(_scan(voxels))
    assert np.isfinite(list(prediction.probabilities.values())).all()
    assert "not finite" in prediction.warnings[0]


def test_an_answer_that_is_not_finite_is_an_error(bundle):
    engine = _Engine([np.nan, 0.0, 0.0])
    with pytest.raises(ModelError, match="not finite") as caught:
        _with_engine(bundle, engine).classify(_scan())
    assert caught.value.source == str(SOURCE)


class _Odd:
    def __init__(self, flag: bool) -> None:
        self.answer = OutOfDistribution(1.5 if flag else 0.5, flag, "noise" * flag)
        self.seen: tuple[Any, ...] = ()

    def assess(self, *seen: Any) -> OutOfDistribution:
        self.seen = seen
        return self.answer


@pytest.mark.parametrize("flag", [True, False])
def test_what_is_unlike_the_training_data_is_never_sure(bundle, flag):
    statistics = _Odd(flag)
    known = replace(bundle, statistics=statistics)
    scan = _scan()
    prediction = _with_engine(known, _Engine([50.0, 0.0, 0.0])).classify(scan)
    assert prediction.probability > 0.999
    assert prediction.sure is not flag
    assert prediction.out_of_distribution is statistics.answer
    features, prepared, seen, names = statistics.seen
    assert features.shape == (8,)
    assert prepared.array.shape == (1, 1, 33, 33, 33)
    assert seen is scan
    assert names == ("image",)


def test_a_conformal_rule_gives_a_set(bundle):
    rule = {"rule": "conformal", "coverage": 0.9, "quantile": 0.8}
    ruled = replace(bundle, calibration=Calibration(1.0, rule))
    prediction = _with_engine(ruled, _Engine([1.0, 0.9, -5.0])).classify(_scan())
    assert prediction.prediction_set == ("a", "b")
    assert prediction.sure is False


@pytest.mark.parametrize(
    ("logit", "label", "called"),
    [(0.0, "b", "b"), (1.0, "b", "b"), (-0.5, "a", "b"), (-2.0, "a", "a")],
)
def test_the_operating_point_calls_a_scan(tmp_path, logit, label, called):
    bundle = load_bundle(tiny_bundle(tmp_path / "two", labels=("a", "b")))
    chosen = replace(bundle, calibration=Calibration(1.0, operating_point=0.3))
    prediction = _with_engine(chosen, _Engine([0.0, logit + 1e-6])).classify(_scan())
    assert (prediction.label, prediction.called) == (label, called)
    found = prediction.to_json()
    assert (found["called"], found["threshold"]) == (called, 0.3)
    told = [w for w in prediction.warnings if "operating point" in w]
    assert bool(told) == (label != called)
    if told:
        assert told[0].endswith("b from 30.0 % on, this scan is called b")
    plain = _with_engine(bundle, _Engine([0.0, logit])).classify(_scan())
    assert plain.called is plain.to_json()["threshold"] is None
    assert plain.warnings == ()


def test_an_operating_point_is_between_two_labels(bundle, tmp_path):
    network = load_network(bundle)
    with pytest.raises(ModelError, match="between two labels"):
        save_bundle(
            tmp_path / "m",
            network=network,
            network_def=bundle.network_def,
            recipe=bundle.recipe,
            calibration=Calibration(1.0, operating_point=0.3),
            card=bundle.card,
        )


def test_a_full_graphics_card_falls_back_to_the_cpu(bundle, monkeypatch):
    spare = _Engine([0.0, 1.0, 0.0])
    monkeypatch.setattr(predict, "make_engine", lambda *_: spare)
    full = _with_engine(bundle, _Engine(DeviceLimitError("is full")))
    for _ in range(2):
        prediction = full.classify(_scan())
        assert prediction.label == "b"
        assert prediction.warnings == ("the network ran on the CPU: fake is full",)
    assert full._engine is spare


class _SmallCard(_Engine):
    """Takes up to two inputs at a time, of values up to 9."""

    def __init__(self):
        super().__init__([1.0, 0.0, 0.0])
        self.sizes = []

    def run(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > 2 or batch.max() > 9:
            raise DeviceMemoryError("has too little memory")
        return super().run(batch)


def test_a_batch_that_is_too_large_is_halved_then_goes_to_the_cpu(bundle, monkeypatch):
    spare = _Engine([0.0, 1.0, 0.0])
    monkeypatch.setattr(predict, "make_engine", lambda *_: spare)
    card = _SmallCard()
    classifier = _with_engine(bundle, card)
    batch = np.zeros((4, 1, 8, 8, 8), np.float32)
    answer = classifier.run(batch)
    assert card.sizes == [4, 2, 2]
    assert answer.logits.argmax(axis=1).tolist() == [0] * 4
    assert answer.notes == ()
    batch[3] = 10
    answer = classifier.run(batch)
    assert answer.logits.argmax(axis=1).tolist() == [0, 0, 0, 1]
    assert answer.notes == ("the network ran on the CPU: fake has too little memory",)
    # The card takes the next scans.
    assert classifier.run(batch[:1]).notes == ()
    assert classifier._engine is card


def test_warnings_of_model_and_scan_are_passed_on(bundle):
    odd = replace(bundle, warnings=("extra file",))
    scan = _scan(warnings=("odd header",))
    prediction = _with_engine(odd, _Engine([1.0, 0.0, 0.0])).classify(scan)
    assert prediction.warnings == ("extra file", "odd header")


def test_an_unknown_method_is_refused(classifier):
    with pytest.raises(ResonanceError, match="no saliency method 'tea'") as caught:
        classifier.classify(_scan(), saliency="tea")
    assert "gradcam" in str(caught.value)


def test_an_unknown_target_is_refused(classifier):
    with pytest.raises(ResonanceError, match="no label 'd'") as caught:
        classifier.classify(_scan(), saliency="gradcam", target="d")
    assert "a, b, c" in str(caught.value)


def test_progress_runs_from_nothing_to_all(flat):
    seen: list[tuple[int, int, str]] = []
    flat.classify(_scan(), progress=lambda *step: seen.append(step))
    done = [d for d, _, _ in seen]
    assert done == sorted(done)
    assert seen[0][:2] == (0, 3)
    assert seen[-1] == (3, 3, "done")


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_it_stops_when_asked(bundle, allowed):
    engine = _Engine([1.0, 0.0, 0.0])
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > allowed

    with pytest.raises(CancelledError):
        _with_engine(bundle, engine).classify(_scan(), should_stop=should_stop)
    assert len(engine.batches) == int(allowed == 2)


def test_several_threads_take_turns(classifier):
    expected = classifier.classify(_scan()).logits
    results: list[tuple[float, ...]] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(classifier.classify(_scan()).logits)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_the_source_of_many_files_is_their_folder(classifier):
    files = tuple(Path("study", "series", f"{n}.dcm") for n in range(3))
    scan, _ = phantom("oblique", sources=files)
    assert classifier.classify(scan).source == str(Path("study", "series"))
    assert classifier.classify(_scan(sources=())).source == ""


def test_the_device_is_named_once_it_is_known(saved):
    loaded = load_classifier(saved, "cpu")
    assert loaded.device == "cpu"
    loaded.classify(_scan())
    assert loaded.device == "openvino"


def test_an_unknown_device_is_refused_at_once(saved):
    with pytest.raises(ModelError, match="no device"):
        load_classifier(saved, "gpu")


def test_a_recipe_with_other_channels_is_refused(bundle):
    wide = {**bundle.network_def, "n_input_channels": 3}
    with pytest.raises(ModelError, match="1 channels, the network takes 3"):
        Classifier(replace(bundle, network_def=wide)).classify(_scan())
