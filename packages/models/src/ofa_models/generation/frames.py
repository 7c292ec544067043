"""Answers of one slot of float rows, one frame after the other until the stop head says so.

# R rows, n lanes in work, F unit features, D model width
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ofa_models.backend import ModelBackend
from ofa_models.generation.lanes import Lanes
from ofa_models.generation.scores import Draws
from ofa_models.generation.steps import FrameStep, Hypothesis


def answer_frames(lanes: Lanes, rows: Sequence[int], step: FrameStep, draws: Sequence[Draws]) -> list[Hypothesis]:
    """One answer for each row, at least one frame long; the rows' primary lanes stand right before its begin vector.

    Its log-probability is that of the stop decisions. The last frame is no input of what follows. What is fed back are the
    frames as they were read, with numbers from the lane's own ``draws`` where the adaptor asks for some; where the adaptor
    refines, the finished items are refined once.
    """
    backend = lanes.backend
    fed = _FedBack(backend, step.adaptor, draws)
    frames: dict[int, list[Tensor]] = {lane: [] for lane in lanes.primary(rows)}
    log_probability = dict.fromkeys(frames, 0.0)
    finished: set[int] = set()
    live = list(frames)
    for lane in live:
        lanes.append_embedded(lane, backend.begin_vector(step.adaptor)[None])
    for number in range(1, step.max_frames + 1):
        output = backend.read_frames(step.adaptor, lanes.flush(live))
        assert output.stop_logits is not None, "frames that follow each other need a stop head"
        stops = output.stop_logits.float().sigmoid().tolist()
        following = []
        for lane, frame, stop in zip(live, output.frames.float(), stops, strict=True):
            frames[lane].append(frame)
            ends = stop >= step.stop_threshold
            log_probability[lane] += float(np.log(max(stop if ends else 1 - stop, 1e-30)))
            if ends:
                finished.add(lane)
            elif number < step.max_frames:
                following.append(lane)
        live = following
        if not live:
            break
        for lane, token in zip(live, fed.tokens({lane: frames[lane] for lane in live}), strict=True):
            lanes.append_embedded(lane, token[None])
    items = [torch.stack(found) for found in frames.values()]
    counts = torch.tensor([len(item) for item in items], device=lanes.device)
    refined = backend.refine_frames(step.adaptor, torch.cat(items), counts)
    if refined is not None:
        items = list(torch.split(refined.float(), counts.tolist()))
    return [
        Hypothesis(
            units=item.cpu().numpy(),
            log_probability=log_probability[lane],
            score=log_probability[lane],
            finished=lane in finished,
        )
        for lane, item in zip(frames, items, strict=True)
    ]


class _FedBack:
    """Answered frames as the next inputs, each with no more of its item than the adaptor looks back on."""

    def __init__(self, backend: ModelBackend, adaptor: str, draws: Sequence[Draws]) -> None:
        self.backend, self.adaptor, self.draws = backend, adaptor, draws
        self.looks_back = backend.frames_looked_back(adaptor)
        self.noise_width = backend.frame_noise(adaptor)
        self.noise: dict[int, list[Tensor]] = {}

    def tokens(self, items: Mapping[int, list[Tensor]]) -> Tensor:
        """Tokens ``[n, D]`` of the last frame of each lane's item."""
        if self.noise_width:
            for lane, item in items.items():
                numbers = torch.from_numpy(self.draws[lane].even(self.noise_width))
                self.noise.setdefault(lane, []).append(numbers.to(item[-1].device))
        if self.looks_back == 0:
            return self._embed([item[-1] for item in items.values()], [self.noise[lane][-1] for lane in items if self.noise])
        start = 0 if self.looks_back is None else -(self.looks_back + 1)
        return torch.cat([self._embed(item[start:], self.noise.get(lane, [])[start:])[-1:] for lane, item in items.items()])

    def _embed(self, frames: Sequence[Tensor], noise: Sequence[Tensor]) -> Tensor:
        return self.backend.embed_frames(self.adaptor, torch.stack(list(frames)), torch.stack(list(noise)) if noise else None)
