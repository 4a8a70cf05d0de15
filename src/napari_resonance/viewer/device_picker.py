"""Where the network runs, and how exactly it computes there."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_resonance.viewer.devices import DeviceChoice
from napari_resonance.viewer.fold import Fold
from napari_resonance.viewer.forms import add_field, narrow_box, new_form
from napari_resonance.viewer.settings import choose_remembered, remember_choice

_DEVICE, _PRECISION = "device", "precision"

_TEXTS = {
    "auto": "Automatic",
    "32-true": "32 bits throughout",
    "16-mixed": "16 bits where safe (mixed)",
}
_TIP = "Automatic is the fastest safe one; 32 bits agree closely with a processor"
_ONE_ONLY = "This device always computes in 32 bits: fewer would not be safe, or faster"


class DevicePicker(QWidget):
    """Device and precision below a heading that names them: few choose others."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._devices: tuple[DeviceChoice, ...] = ()
        self.device_box, self.precision_box = narrow_box(), narrow_box()
        self.device_box.setToolTip("Automatic takes the fastest one there is")
        fields = QWidget()
        form = new_form(fields)
        add_field(form, "Device", self.device_box)
        add_field(form, "Precision", self.precision_box)
        self.fold = Fold("Device", fields)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        self.device_box.currentIndexChanged.connect(self._on_device)
        self.precision_box.currentIndexChanged.connect(self._tell)
        self.set_devices((DeviceChoice("auto", "Automatic"),))
        remember_choice(self.device_box, _DEVICE)
        remember_choice(self.precision_box, _PRECISION)

    @property
    def device(self) -> str:
        """The device that is chosen, as a classifier takes it."""
        return str(self.device_box.currentData())

    @property
    def precision(self) -> str:
        """The precision that is chosen, as a classifier takes it."""
        return str(self.precision_box.currentData())

    def set_devices(self, devices: tuple[DeviceChoice, ...]) -> None:
        """Offer these devices."""
        self._devices = devices
        self.device_box.clear()
        for device in devices:
            self.device_box.addItem(device.text, device.name)
        choose_remembered(self.device_box, _DEVICE)

    def _on_device(self, index: int) -> None:
        """Offer what the device has; of one kind only, name it and say why."""
        if index < 0:
            return
        several = [p for p in self._devices[index].precisions if p in _TEXTS]
        has_choice = "16-mixed" in several
        self.precision_box.clear()
        for name in several if has_choice else ["auto"]:
            text = _TEXTS[name if has_choice else "32-true"]
            self.precision_box.addItem(text, name)
        self.precision_box.setEnabled(has_choice)
        self.precision_box.setToolTip(_TIP if has_choice else _ONE_ONLY)
        choose_remembered(self.precision_box, _PRECISION)
        self._tell()

    def _tell(self) -> None:
        parts = [self.device_box.currentText()]
        if self.precision not in ("auto", "None"):
            parts.append(self.precision_box.currentText())
        self.fold.setText(f"Device: {', '.join(part for part in parts if part)}")
