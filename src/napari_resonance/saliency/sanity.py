"""Whether a map depends on what the network has learnt.

Cascading randomisation (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018):
the network is made random from its last layer backwards, stage by stage, and the map is
made anew each time. A map that stays as it was shows the scan, not the network; guided
backpropagation is known for that, and is not offered.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.members import Heads, heads_in
from napari_resonance.classifier.parts import Chain, torch_chains
from napari_resonance.classifier.predict import Classifier
from napari_resonance.classifier.stages import Answer, Steps, joined, parts_of
from napari_resonance.geometry import Grid
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.saliency.explain import map_again
from napari_resonance.saliency.question import Array
from napari_resonance.saliency.similarity import check_uneven, on_grid, spearman, ssim

if TYPE_CHECKING:
    from napari_resonance.classifier.network import Network
    from napari_resonance.saliency.explain import Explanation

# From the last one backwards; what comes before layer1 is the stem.
STAGES = ("fc", "layer4", "layer3", "layer2", "layer1", "stem")
# Above this rank correlation with a wholly random network a map shows the scan.
LIMIT = 0.5


@dataclass(frozen=True)
class Cascade:
    """How alike the map is once a stage and all after it are random.

    Parameters
    ----------
    stage
        The earliest stage that is random.
    spearman
        Rank correlation with the map of the trained network, mean over draws.
    ssim
        Structural similarity with it, mean over draws.

    """

    stage: str
    spearman: float
    ssim: float


@dataclass(frozen=True)
class Sanity:
    """What randomising a network does to a map.

    Parameters
    ----------
    method
        How the map is made.
    cascade
        From the last stage backwards; in the last row no weight is left.
    draws
        Random networks each row is the mean of.

    """

    method: str
    cascade: tuple[Cascade, ...]
    draws: int

    @property
    def passed(self) -> bool:
        """Whether a network without any learnt weight gives another map."""
        return abs(self.cascade[-1].spearman) < LIMIT

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        left = f"rank correlation {self.cascade[-1].spearman:.2f}"
        if self.passed:
            return f"the map depends on what the network has learnt: {left} without it"
        return f"the map hardly depends on what the network has learnt: {left} without"

    def to_json(self) -> dict[str, Any]:
        """Return the ``sanity`` entry of a document."""
        return {
            "method": self.method,
            "passed": self.passed,
            "draws": self.draws,
            "cascade": [asdict(row) for row in self.cascade],
            "sentence": self.sentence,
        }


def sanity(
    classifier: Classifier,
    explained: Explanation,
    *,
    draws: int = 3,
    seed: int = 0,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Sanity:
    """Randomise a network from its last layer backwards and compare the maps.

    Each tensor's entries are shuffled, so that weights and activations keep their size
    and only what was learnt is lost. Ranks are compared on the map's own cells, with
    their signs; structure on the voxels that the network saw.

    Parameters
    ----------
    classifier
        Who answered.
    explained
        What it was asked, and the map.
    draws
        Random networks for each stage.
    seed
        Of the draws.
    progress, should_stop
        Called for each map.

    Raises
    ------
    SaliencyError
        If the map is the same everywhere, or a random network gives none.
    CancelledError
        If `should_stop` said so.

    """
    plain = explained.saliency
    check_uneven(plain)
    network, _ = classifier.torch_network()
    grid = Grid(*plain.extent)
    drawn = on_grid(plain, grid)
    steps = Steps(draws * len(STAGES), progress, should_stop)
    found = np.zeros((len(STAGES), draws, 2))
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        for number, (stage, changed) in enumerate(_cascade(network, rng)):
            steps.begin(f"making the network random from {stage} on")
            other = map_again(_StandIn(classifier, changed), explained)
            alike = spearman(plain.values, other.values)
            found[number, draw] = alike, ssim(drawn, on_grid(other, grid))
    steps.end()
    means = found.mean(axis=1).tolist()
    rows = (Cascade(stage, *row) for stage, row in zip(STAGES, means, strict=True))
    return Sanity(plain.method, tuple(rows), draws)


def _cascade(
    network: Network, rng: np.random.Generator
) -> Iterator[tuple[str, Network]]:
    """Yield the network with ever more of its stages random."""
    changed = copy.deepcopy(network).cpu()
    state = changed.state_dict()
    for stage in STAGES:
        for name, tensor in state.items():
            if _stage_of(name) == stage and tensor.ndim > 0:
                order = rng.permutation(tensor.numel())
                tensor.copy_(tensor.flatten()[order].reshape(tensor.shape))
        yield stage, changed


def _stage_of(name: str) -> str:
    """Return the stage of a tensor, ``"members.1.layer3.0.bn1.bias"`` -> layer3."""
    parts = name.split(".")
    first = parts[2] if parts[0] == "members" else parts[0]
    return first if first in STAGES else "stem"


class _StandIn(Classifier):
    """A classifier that has another network, in torch on the CPU."""

    def __init__(self, classifier: Classifier, network: Network) -> None:
        super().__init__(classifier.bundle, "cpu")
        self._other = network

    @property
    def device(self) -> str:
        """The engine's name."""
        return "torch cpu"

    def run(self, array: Array) -> Answer:
        """Run the network."""
        import torch

        outputs = []
        with torch.inference_mode():
            for part in parts_of(array):
                both = self._other.logits_and_features(torch.from_numpy(part))
                logits, features = (o.contiguous().numpy() for o in both)
                outputs.append((logits, features))
        return joined(outputs)

    def torch_network(self) -> tuple[Network, str]:
        """Return the network and its device."""
        return self._other, "cpu"

    @property
    def chains(self) -> list[Chain]:
        """The network in parts."""
        return torch_chains(self._other)

    @property
    def heads(self) -> Heads:
        """What makes logits of the pooled features, of each member."""
        return heads_in(self._other)
