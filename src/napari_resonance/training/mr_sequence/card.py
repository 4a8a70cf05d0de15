"""What the model card of ``mr-sequence`` says besides its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_resonance.classifier.card import ModelCard

TRAINING_DATA = (
    "28 volumes of 8 patients from 4 sites: five patients with multiple sclerosis "
    "(Ljubljana, 3 T, defaced, up to two visits), one volunteer (Boston, Siemens "
    "TrioTim) and two patients with low-grade glioma (TCGA-LGG, one Siemens with "
    "5.5 mm slices, one GE, skull stripped); contrasts re-composed from registered "
    "T1w, T2w and FLAIR of one visit during training"
)
ATTRIBUTIONS = (
    "Lesjak Z. et al., Validation of White-Matter Lesion Change Detection Methods on a "
    "Novel Publicly Available MRI Image Database, Neuroinformatics 2016; Laboratory of "
    "Imaging Technologies, University of Ljubljana; CC BY",
    "FNNDSC data repository, dicom/adi_brain (Boston Children's Hospital); Apache-2.0",
    "The Cancer Genome Atlas Low Grade Glioma collection (TCGA-LGG), The Cancer "
    "Imaging Archive, as converted in BraTS-Toolkit's example data; CC BY 3.0",
)
LIMITS = (
    "Trained on 28 volumes of 8 adults; children, fetuses and post-mortem brains were "
    "not seen",
    "T1w before and after contrast agent carry one label",
    "Only the upper 10 cm of the head are looked at; scans that show less than half of "
    "that are called unlike the training data",
    "Proton density, diffusion, susceptibility and other contrasts are no label; they "
    "should come out unsure or as unlike the training data. Without a skull, images "
    "whose fluid is brightest (diffusivity, T1 maps, some proton density) can still "
    "pass for T2w, because the network sees ranks and not how much brighter fluid is",
    "FLAIR of large ventricles or heavy white-matter disease at low resolution is the "
    "hardest kind",
)


def make_card(
    labels: Sequence[str], performance: Mapping[str, Any], how: str
) -> ModelCard:
    """Return the model card with the measured figures, and how they were measured."""
    return ModelCard(
        name="mr-sequence",
        version="1.0.0",
        task="Which MR sequence is this brain scan: T1w, T2w or FLAIR?",
        labels=tuple(labels),
        dimensions=3,
        modality=("MR",),
        body_part="head",
        training_data=TRAINING_DATA,
        performance=performance,
        licence="CC-BY-4.0",
        attributions=ATTRIBUTIONS,
        intended_use=(
            "Sorting brain MR series for research, where series descriptions are "
            "missing or wrong; not a medical device"
        ),
        limits=(*LIMITS, how),
    )
