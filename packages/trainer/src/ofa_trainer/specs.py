"""All specs of this package: what its entry points hand out. Pydantic only."""

from ofa_trainer.criteria.specs import CRITERIA, CROSS_ENTROPY, DIFFUSION, FRAMES, PATCH_COVER, SOFT_BINS
from ofa_trainer.metrics.specs import METRICS, default_metrics
from ofa_trainer.sources.specs import CSV, JSONL, PARQUET, SOURCES, STARTER

__all__ = [
    "CRITERIA",
    "CROSS_ENTROPY",
    "CSV",
    "DIFFUSION",
    "FRAMES",
    "JSONL",
    "METRICS",
    "PARQUET",
    "PATCH_COVER",
    "SOFT_BINS",
    "SOURCES",
    "STARTER",
    "default_metrics",
]
