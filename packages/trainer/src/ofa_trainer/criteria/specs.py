"""Specs of the built-in criteria: pydantic only."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import CriterionSpec, Options
from pydantic import Field


class CriterionOptions(Options):
    """What every built-in criterion has."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of this criterion's loss beside the other criteria of the slot."""


class CrossEntropyOptions(CriterionOptions):
    """Options of ``cross_entropy``."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the label's weight that is spread evenly over all that could have been chosen."""


class SoftBinsOptions(CriterionOptions):
    """Options of ``soft_bins``."""

    sigma_bins: float = Field(default=1.5, ge=0)
    """Standard deviation, in bins, of the Gaussian around the true bin; 0: the true bin alone."""


class PatchCoverOptions(CriterionOptions):
    """Options of ``patch_cover``."""

    weight: float = Field(default=2.0, ge=0)
    """Small models do not begin to ground without a strong dense term."""


class SourceWordsOptions(CriterionOptions):
    """Options of ``source_words``."""


class FramesOptions(CriterionOptions):
    """Options of ``frames``."""

    kind: Literal["l1", "l2", "l1_l2"] = "l1"
    """Absolute or squared distance, or both added, averaged over the features of a frame."""
    stop_weight: float = Field(default=1.0, ge=0)
    """Factor of the stop's binary cross entropy beside the distance."""


class DiffusionOptions(CriterionOptions):
    """Options of ``diffusion``."""

    velocity_weight: float = Field(default=1.0, ge=0)
    """Factor of the squared distance of the steps between neighbouring rows beside that of the rows."""


CROSS_ENTROPY = CriterionSpec(
    name="cross_entropy",
    summary="Cross entropy of the next id; exact over the candidates where the slot has a closed set.",
    options=CrossEntropyOptions,
    implementation="ofa_trainer.criteria.cross_entropy:CrossEntropy",
)
SOFT_BINS = CriterionSpec(
    name="soft_bins",
    summary="Cross entropy over box bins against a Gaussian around the true bin.",
    options=SoftBinsOptions,
    implementation="ofa_trainer.criteria.soft_bins:SoftBins",
)
PATCH_COVER = CriterionSpec(
    name="patch_cover",
    summary="Dense: binary cross entropy of every patch of a box's image, covered by the box or not.",
    options=PatchCoverOptions,
    implementation="ofa_trainer.criteria.patch_cover:PatchCover",
)
SOURCE_WORDS = CriterionSpec(
    name="source_words",
    summary="Dense: the words of an answer, all at once, from the mean of the encoder's states of a picture or a sound.",
    options=SourceWordsOptions,
    implementation="ofa_trainer.criteria.source_words:SourceWords",
)
FRAMES = CriterionSpec(
    name="frames",
    summary="Regression of the next float row, refined ones too where there is a post-net, and whether it is the last.",
    aliases=("ofa_tacotron2",),
    options=FramesOptions,
    implementation="ofa_trainer.criteria.frames:Frames",
)

DIFFUSION = CriterionSpec(
    name="diffusion",
    summary="Squared distance of the clean rows predicted through the noise, and of the steps between them.",
    aliases=("diffusion_criterion",),
    options=DiffusionOptions,
    implementation="ofa_trainer.criteria.diffusion:Diffusion",
)

CRITERIA = (CROSS_ENTROPY, SOFT_BINS, PATCH_COVER, SOURCE_WORDS, FRAMES, DIFFUSION)
