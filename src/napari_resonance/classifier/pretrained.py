"""Pretrained networks by one name: weights that fit, and a report of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_resonance.classifier import download
from napari_resonance.classifier.adapt import Channels, Inflation, adapt
from napari_resonance.classifier.architecture import (
    USUAL,
    assumed_of,
    expected_shapes,
    not_this_network,
    read_definition,
    shapes_of,
)
from napari_resonance.classifier.catalogue import (
    CATALOGUE,
    Pretrained,
    meant,
    pretrained_entry,
)
from napari_resonance.classifier.checkpoint import (
    SUFFIXES,
    read_checkpoint,
    refuse_address,
    split_part,
)
from napari_resonance.classifier.definition import member_definition
from napari_resonance.classifier.head_stack import Between, read_between
from napari_resonance.classifier.like import settings_like
from napari_resonance.classifier.resnet_names import Named, resnet_tensors
from napari_resonance.errors import ModelError
from napari_resonance.progress import Progress, no_progress

if TYPE_CHECKING:
    import torch

    from napari_resonance.classifier.network import ResNet


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint's tensors, and what had to be assumed.

    Parameters
    ----------
    source
        Name or file.
    matched
        Names of the tensors that were taken as they are.
    adapted
        What was done to tensors that were changed or set, by name.
    missing
        Tensors of the network that begin untrained, with the reason.
    unexpected
        Tensors of the file that the network has no place for.
    assumed
        Settings that weights do not tell and that nobody gave.
    layers
        Those of the unexpected tensors that a layer multiplies with.

    """

    source: str
    matched: tuple[str, ...]
    adapted: Mapping[str, str]
    missing: Mapping[str, str]
    unexpected: tuple[str, ...]
    assumed: Mapping[str, Any]
    layers: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the counts, and the names where there are few, as one sentence."""
        parts = [
            f"{len(self.matched)} tensors matched",
            _counted("adapted", self.adapted),
            _counted("missing", self.missing),
            _counted("unexpected", self.unexpected),
        ]
        text = ", ".join(parts)
        if not self.assumed:
            return text
        settings = ", ".join(f"{k} {v}" for k, v in self.assumed.items())
        return f"{text}; assumed, as weights do not tell it: {settings}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return asdict(self)


def _counted(what: str, names: Mapping[str, str] | tuple[str, ...]) -> str:
    shown = f" ({', '.join(names)})" if 0 < len(names) <= 3 else ""
    return f"{len(names)} {what}{shown}"


class Loaded(NamedTuple):
    """A pretrained network: its definition, its weights, and how they were fitted.

    The state has every tensor but those that the report calls missing.
    """

    definition: dict[str, Any]
    state: dict[str, torch.Tensor]
    report: LoadReport


@dataclass(frozen=True)
class _Checkpoint:
    """Tensors under MONAI's names, and the network they belong to."""

    source: str
    tensors: Mapping[str, torch.Tensor]
    others: tuple[str, ...]
    definition: Mapping[str, Any]
    assumed: Mapping[str, Any]
    layers: tuple[str, ...] = ()


def load_pretrained(  # noqa: PLR0913 - each says how the next network differs
    name_or_file: str | PathLike[str],
    definition: Mapping[str, Any] | None = None,
    *,
    dimensions: int | None = None,
    in_channels: int | None = None,
    n_labels: int | None = None,
    channels: Channels = "sum",
    inflation: Inflation = "mean",
    between: str | None = None,
    like: str = "",
    progress: Progress = no_progress,
) -> Loaded:
    """Read pretrained weights and fit them to a network.

    Parameters
    ----------
    name_or_file
        A name from ``catalogue.CATALOGUE`` (fetched where it is not on disk yet), the
        name or folder of a classifier, or a ``.safetensors`` or ``.pth`` file;
        ``FILE#PART`` is one of several networks in it.
    definition
        The ``network_def`` to fit the weights to. If None, that of the checkpoint,
        changed by the next three.
    dimensions, in_channels, n_labels
        3 for a 2D network that shall see volumes; the number of input channels and of
        labels. None keeps what the checkpoint has (2 labels where it has no head).
    channels, inflation
        See ``adapt.adapt``.
    between
        What lies between the linear layers of the file's head, see
        ``head_stack.read_between``. If None, a head of several is left out.
    like
        Name of the pretrained network that the file's network began from, whose strides
        and dilations it has: weights do not tell them. Those of ImageNet's are assumed
        otherwise, unless the file's name is MedicalNet's.
    progress
        Told of a download.

    Returns
    -------
    Loaded
        ``(definition, state, report)``.

    Raises
    ------
    ModelError
        If there is no such name or file, it cannot be read, it is not the network that
        is wanted (the remedy names the three nearest), or 3D weights shall become 2D;
        if the network cannot have begun from `like`.

    """
    check_like(name_or_file, like)
    told = None if between is None else read_between(between)
    if told is None and definition is not None and definition.get("head_hidden"):
        told = Between(definition.get("head_act", "relu"))
    if like and definition is not None:
        settings = settings_like(like, definition, name_or_file)
        definition = {**definition, **settings}
    found = _found(name_or_file, definition, told, like, progress)
    wanted = definition
    if wanted is None:
        wanted = _changed(found, dimensions, in_channels, n_labels)
    shapes = expected_shapes(wanted)
    fitted = adapt(found.tensors, shapes, channels=channels, inflation=inflation)
    extra = tuple(name for name in found.tensors if name not in shapes)
    if fitted.misfits or any(not name.startswith("fc.") for name in extra):
        first = (*fitted.misfits, *extra)[0]
        raise not_this_network(
            shapes_of(found.tensors), found.source, first, "the network that is wanted"
        )
    report = LoadReport(
        found.source,
        tuple(fitted.matched),
        fitted.changed,
        fitted.missing,
        (*extra, *found.others),
        found.assumed if definition is None else {},
        found.layers,
    )
    return Loaded(dict(wanted), fitted.state, report)


def network_of(loaded: Loaded) -> ResNet:
    """Return the network with the pretrained weights; what is missing is random."""
    from napari_resonance.classifier.network import build_resnet

    network = build_resnet(loaded.definition)
    state = network.state_dict() | loaded.state
    network.load_state_dict(state, strict=True)
    return network


def check_is(entry: Pretrained, file: Path) -> None:
    """Refuse a file that does not hold the network of this name.

    Raises
    ------
    ModelError
        If it cannot be read, or is another network.

    """
    named = resnet_tensors(read_checkpoint(file), file)
    found = _as_resnet(str(file), named, entry.settings).definition
    wanted = entry.definition()
    outputs = "num_classes"
    if {**found, outputs: 0} != {**wanted, outputs: 0}:
        raise ModelError(
            f"the file holds another network than {entry.name}",
            source=file,
            remedy=not_this_network(shapes_of(named.own), file).remedy,
        )


def _found(
    source: str | PathLike[str],
    definition: Mapping[str, Any] | None,
    between: Between | None,
    like: str,
    progress: Progress,
) -> _Checkpoint:
    name = str(source)
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        named = resnet_tensors(download.fetched_tensors(entry, progress), name)
        return _as_resnet(name, named, entry.settings)
    refuse_address(name)
    path, part = split_part(source)
    if _is_weights(path):
        named = resnet_tensors(read_checkpoint(path), name, part, between)
        if definition is not None:  # which need not be of a depth that is known here
            return _checkpoint(name, named, definition)
        usual = {} if between is None or not between.act else {"head_act": between.act}
        entry_of_file = _entry_of(path)
        if entry_of_file is not None and not like:
            return _as_resnet(name, named, {**entry_of_file.settings, **usual})
        found = _as_resnet(name, named, USUAL | usual)
        if like:
            settings = settings_like(like, found.definition, name)
            return replace(found, definition={**found.definition, **settings})
        return replace(found, assumed=assumed_of(found.definition))
    return _classifier(source)


def is_file_of_weights(name: str | PathLike[str]) -> bool:
    """Tell whether a file of weights, or ``FILE#PART``, is meant by what was named."""
    return str(name) not in CATALOGUE and _is_weights(split_part(name)[0])


def _is_weights(path: Path) -> bool:
    return path.is_file() or (path.suffix in SUFFIXES and not path.is_dir())


def check_like(name_or_file: str | PathLike[str], like: str) -> None:
    """Refuse `like` of anything but a file, or of no pretrained network.

    Raises
    ------
    ModelError
        If it is.

    """
    if not like:
        return
    pretrained_entry(like)
    if not is_file_of_weights(name_or_file):
        raise ModelError(
            "this is no file of weights, so its strides and dilations are not those "
            f"of {like}",
            source=name_or_file,
            remedy="Leave --like away",
        )


def _as_resnet(source: str, named: Named, settings: Mapping[str, Any]) -> _Checkpoint:
    if not named.own:
        raise not_this_network(shapes_of(named.others), source)
    return _checkpoint(source, named, read_definition(named.own, settings, source))


def _checkpoint(
    source: str, named: Named, definition: Mapping[str, Any]
) -> _Checkpoint:
    others, layers = tuple(named.others), tuple(named.layers)
    return _Checkpoint(source, named.own, others, definition, {}, layers)


def _entry_of(path: Path) -> Pretrained | None:
    """Return whose file this is, where its name tells: MedicalNet's files only."""
    for entry in CATALOGUE.values():
        if entry.filename.endswith(".pth") and path.name in (
            entry.filename,
            f"resnet_{entry.depth}.pth",
        ):
            return entry
    return None


def _classifier(source: str | PathLike[str]) -> _Checkpoint:
    from napari_resonance.classifier.bundle import load_bundle

    try:
        bundle = load_bundle(source)
    except ModelError as error:
        if error.message.startswith("there is no model"):
            names = ", ".join(CATALOGUE)
            raise ModelError(
                "there is no pretrained network, classifier or file of this name",
                source=source,
                remedy=f"{meant(str(source))}Give a file, the folder of a classifier, "
                f"or one of: {names}",
            ) from error
        raise
    tensors = read_checkpoint(bundle.weights_path)
    definition = member_definition(bundle.network_def)
    others: tuple[str, ...] = ()
    if definition != bundle.network_def:
        # One network begins from one: the first of those that answer together.
        first = "members.0."
        others = tuple(name for name in tensors if not name.startswith(first))
        tensors = {
            k.removeprefix(first): t for k, t in tensors.items() if k not in others
        }
    return _Checkpoint(str(source), tensors, others, definition, {})


def _changed(
    found: _Checkpoint,
    dimensions: int | None,
    in_channels: int | None,
    n_labels: int | None,
) -> dict[str, Any]:
    for what, number in (("input channels", in_channels), ("labels", n_labels)):
        if number is not None and number < 1:
            raise ModelError(f"a network with {number} {what} is none")
    wanted = dict(found.definition)
    before = wanted.get("spatial_dims", 3)
    if dimensions is not None and dimensions != before:
        if (before, dimensions) != (2, 3):
            raise ModelError(
                f"weights of a {before}D network cannot become {dimensions}D",
                source=found.source,
                remedy="Choose a network of the same dimensions",
            )
        wanted["spatial_dims"] = 3
        for key in ("conv1_t_size", "conv1_t_stride"):
            if isinstance(wanted.get(key), list):
                wanted[key] = [*wanted[key], wanted[key][-1]]
    if in_channels is not None:
        wanted["n_input_channels"] = in_channels
    if n_labels is not None:
        wanted["num_classes"] = n_labels
    return wanted
