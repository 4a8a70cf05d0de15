"""Device and precision, without a window of napari."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_resonance.viewer import devices
from napari_resonance.viewer.device_picker import DevicePicker
from napari_resonance.viewer.devices import DeviceChoice, find_devices

CARD = DeviceChoice("cuda", "Some card, 70 GB free", ("auto", "32-true", "16-mixed"))
PROCESSOR = DeviceChoice("cpu", "Processor, 9 GB free", ("auto", "32-true"))


def _picker(qtbot: Any) -> DevicePicker:
    picker = DevicePicker()
    qtbot.addWidget(picker)
    return picker


def _choose(box: Any, name: str) -> None:
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


def test_a_processor_has_one_precision_and_says_why(qtbot: Any) -> None:
    picker = _picker(qtbot)
    picker.set_devices((PROCESSOR,))
    box = picker.precision_box
    assert not box.isEnabled()
    assert box.currentText() == "32 bits throughout"
    assert "always computes in 32 bits" in box.toolTip()
    assert (picker.device, picker.precision) == ("cpu", "auto")
    assert picker.fold.text() == "Device: Processor, 9 GB free"


def test_the_precision_of_a_card_is_kept(qtbot: Any) -> None:
    picker = _picker(qtbot)
    picker.set_devices((CARD, PROCESSOR))
    box = picker.precision_box
    assert box.isEnabled()
    assert [box.itemData(n) for n in range(box.count())] == list(CARD.precisions)
    assert picker.precision == "auto"
    _choose(box, "32-true")
    assert picker.precision == "32-true"
    assert picker.fold.text() == "Device: Some card, 70 GB free, 32 bits throughout"
    # The processor has no choice; back on the card it is the one of before.
    _choose(picker.device_box, "cpu")
    assert picker.precision == "auto"
    _choose(picker.device_box, "cuda")
    assert picker.precision == "32-true"
    # So it is in the next window.
    other = _picker(qtbot)
    other.set_devices((PROCESSOR, CARD))
    assert (other.device, other.precision) == ("cuda", "32-true")


def test_each_device_tells_its_precisions(monkeypatch: Any) -> None:
    from napari_resonance.classifier import engines

    monkeypatch.setattr(engines, "_is_there", lambda device: device == "cuda")
    monkeypatch.setattr(devices, "_text", lambda device: device)
    found = {choice.name: choice.precisions for choice in find_devices()}
    card = ("auto", "32-true", "16-mixed")
    assert found == {"auto": card, "cpu": ("auto", "32-true"), "cuda": card}


def test_the_answer_of_another_precision_is_another(tmp_path: Path) -> None:
    from napari_resonance.viewer.classification import ClassifyOptions

    def key(precision: str) -> Any:
        options = ClassifyOptions(
            lambda: None,  # type: ignore[arg-type, return-value]
            scan_is_new=False,
            model=tmp_path,
            precision=precision,
        )
        return options.key("00")

    assert key("auto") != key("32-true")
