"""The dense term of boxes: does the named box cover this patch of its image?

    # G box segments, I image groups, P patches of all groups, D model width, K lines of the slot table

Four bins a row teach an encoder little about where things are; a label for every patch teaches it quickly. The term reads
the encoder's states of the image that a box refers to, after they have seen the question, through one linear row. Without it
a small model does not begin to ground at all. It is normalised by patches, so a large image weighs as much as many small ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels, PackedBatch, SegmentColumn, TokenLabels
from torch import Tensor, nn

from ofa_trainer.criteria.soft_bins import bin_block
from ofa_trainer.criteria.specs import PatchCoverOptions
from ofa_trainer.criteria.sums import sums_by_line
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms

_CORNERS = 4
_FIRST_BIAS = -2.0
"""Most patches are not covered; a bias that says so from the start spares the first hundreds of steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchTargets:
    """What is asked of the patches of a batch.

    positions: int64 ``[P]`` into the source side's tokens. covered: float32 ``[P]``, the share of the patch's area that
    the box covers (the largest share where several boxes of one slot refer to one image). slots: int64 ``[P]``.
    """

    positions: Tensor
    covered: Tensor
    slots: Tensor


class PatchCover(nn.Module):
    """Binary cross entropy of every patch against the share that its box covers.

    Owns the linear row that reads it; see :mod:`ofa_trainer.criterion` for criteria with parameters.
    """

    def __init__(self, options: PatchCoverOptions, context: CriterionContext) -> None:
        super().__init__()
        self.options = options
        self._bins = bin_block(context)
        self.head = nn.Linear(context.width, 1)
        nn.init.constant_(self.head.bias, _FIRST_BIAS)

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """Patches asked by line."""
        targets = self.targets(batch, labels)
        return sums_by_line(torch.ones_like(targets.covered), targets.slots, len(batch.slots))

    def forward(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
        targets = self.targets(inputs.batch, inputs.labels)
        with torch.autocast(inputs.memory.states.device.type, enabled=False):
            states_PD = inputs.memory.states[targets.positions].float()
            logits_P = F.linear(states_PD, self.head.weight.float(), self.head.bias.float()).squeeze(-1)
            losses = F.binary_cross_entropy_with_logits(logits_P, targets.covered, reduction="none")
        return LossTerms(
            loss=self.options.weight * (losses * inputs.scale[targets.slots]).sum(),
            sums=sums_by_line(losses.detach(), targets.slots, len(inputs.scale)),
        )

    def targets(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> PatchTargets:
        """Patches of all images that labelled boxes refer to. Raises ValueError where a token is no patch."""
        if not isinstance(labels, TokenLabels):
            raise ValueError("the criterion `patch_cover` is for slots of boxes, and this slot has float units")
        corners_G4, segments_G, slots_G = self._boxes(labels)
        images_G = batch.target.segments[segments_G, SegmentColumn.REFERS]
        of_image = images_G >= 0
        corners_G4, images_G, slots_G = corners_G4[of_image], images_G[of_image], slots_G[of_image]
        groups_I2, group_of_G = torch.unique(torch.stack([slots_G, images_G], dim=-1), dim=0, return_inverse=True)
        shapes_I2 = _patch_shapes(batch, groups_I2[:, 1])
        num_patches_I = shapes_I2.prod(dim=-1)
        first_I = num_patches_I.cumsum(0) - num_patches_I

        num_patches_G = num_patches_I[group_of_G]
        place = _counting(num_patches_G)
        shares = _covered_shares(
            corners_G4.repeat_interleave(num_patches_G, dim=0),
            shapes_I2[group_of_G].repeat_interleave(num_patches_G, dim=0),
            place,
        )
        covered = torch.zeros(int(num_patches_I.sum()), dtype=torch.float32, device=shares.device)
        covered.scatter_reduce_(0, first_I[group_of_G].repeat_interleave(num_patches_G) + place, shares, "amax")
        starts_I = batch.source.segments[groups_I2[:, 1], SegmentColumn.TOKEN_START]
        return PatchTargets(
            positions=starts_I.repeat_interleave(num_patches_I) + _counting(num_patches_I),
            covered=covered,
            slots=groups_I2[:, 0].repeat_interleave(num_patches_I),
        )

    def _boxes(self, labels: TokenLabels) -> tuple[Tensor, Tensor, Tensor]:
        """float32 ``[G, 4]`` corners in [0, 1], their target segments ``[G]`` and slots ``[G]``; whole boxes only."""
        is_bin = (labels.ids >= self._bins.start) & (labels.ids < self._bins.stop)
        segments, sizes = torch.unique_consecutive(labels.segments[is_bin], return_counts=True)
        whole = sizes == _CORNERS
        in_whole = whole.repeat_interleave(sizes)
        bins_G4 = (labels.ids[is_bin][in_whole] - self._bins.start).reshape(-1, _CORNERS)
        slots = labels.slots[is_bin][in_whole].reshape(-1, _CORNERS)[:, 0]
        return corner_fractions(bins_G4, len(self._bins)), segments[whole], slots


def corner_fractions(bins: Tensor, num_bins: int) -> Tensor:
    """Bins ``[..., 4]`` of left, top, right, bottom -> float32 shares of width and height: the middles of their cells.

    The same as the box processor reads them back.
    """
    return (bins.float() + 0.5) / num_bins


def _patch_shapes(batch: PackedBatch, segments_I: Tensor) -> Tensor:
    """int64 ``[I, 2]``: patch rows and columns of source segments."""
    columns = batch.source.segments[segments_I]
    shapes_I2 = columns.new_zeros((len(columns), 2))
    for number, stream in enumerate(batch.source.streams):
        mine = columns[:, SegmentColumn.STREAM] == number
        if bool(mine.any()):
            shapes = stream.shapes[columns[mine, SegmentColumn.ITEM]]
            if shapes.shape[-1] != 2:
                raise ValueError(f"the criterion `patch_cover` needs pictures, and the stream `{stream.adaptor}` has none")
            shapes_I2[mine] = shapes
    if not torch.equal(shapes_I2.prod(dim=-1), columns[:, SegmentColumn.NUM_TOKENS]):
        raise ValueError("the criterion `patch_cover` needs an image adaptor that makes one token of every patch")
    return shapes_I2


def _counting(sizes: Tensor) -> Tensor:
    """0 .. n - 1 for every n of ``sizes``, one after the other."""
    starts = sizes.cumsum(0) - sizes
    return torch.arange(int(sizes.sum()), device=sizes.device) - starts.repeat_interleave(sizes)


def _covered_shares(corners: Tensor, shapes: Tensor, place: Tensor) -> Tensor:
    """Share of patch ``place[p]`` (row-major) of a grid ``shapes[p]`` that the box ``corners[p]`` covers, float32 ``[p]``."""
    columns = shapes[:, 1]
    patch_xy = torch.stack([place % columns, place // columns], dim=-1).float()
    size_xy = shapes.flip(-1)
    low = torch.maximum(corners[:, :2] * size_xy, patch_xy)
    high = torch.minimum(corners[:, 2:] * size_xy, patch_xy + 1)
    return (high - low).clamp(min=0).prod(dim=-1)
