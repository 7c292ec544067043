"""Noise schedules of diffusion, as diffusers has them.

Importing that library takes seconds, so it is imported where a schedule is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ofa_models.specs import NoiseOptions

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

_HINT = "answers by diffusion need the library `diffusers`: install `ofa-models[diffusion]`"


class Noise:
    """The forward process: how far units are covered with noise at a time in [0, 1)."""

    def __init__(self, options: NoiseOptions) -> None:
        self.options = options
        self._scheduler: DDPMScheduler | None = None

    def levels(self, times: Tensor) -> Tensor:
        """Times in [0, 1) → int64 levels of noise, 0 the least; any shape."""
        count = self.options.noise_levels
        return (times * count).long().clamp(0, count - 1)

    def time_of(self, level: int) -> float:
        """A time whose level is ``level``."""
        return (level + 0.5) / self.options.noise_levels

    def mix(self, units: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """``√ᾱ · units + √(1 - ᾱ) · noise``: units and noise ``[U, F]``, levels int64 ``[U]``."""
        if self._scheduler is None:
            self._scheduler = _training_scheduler(self.options)
        mixed: Tensor = self._scheduler.add_noise(units, noise, levels)  # type: ignore[arg-type]
        return mixed


def _training_scheduler(options: NoiseOptions) -> DDPMScheduler:
    try:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    except ImportError as error:
        raise ImportError(_HINT) from error
    scheduler: DDPMScheduler = DDPMScheduler(
        num_train_timesteps=options.noise_levels,
        beta_schedule=options.beta_schedule,
        prediction_type="sample",
        clip_sample=False,
    )
    return scheduler


def sampling_scheduler(options: NoiseOptions, num_steps: int) -> DDIMScheduler:
    """DDIM without added noise (Song et al. 2021, arXiv 2010.02502) from pure noise down, told the clean units at each step."""
    try:
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    except ImportError as error:
        raise ImportError(_HINT) from error
    scheduler: DDIMScheduler = DDIMScheduler(
        num_train_timesteps=options.noise_levels,
        beta_schedule=options.beta_schedule,
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(min(num_steps, options.noise_levels))
    return scheduler
