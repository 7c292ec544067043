"""Building models: the one place that knows which backend a plan names."""

from __future__ import annotations

from typing import Any, Literal, cast

from ofa_instruction import Catalog, default_catalog
from torch import Tensor, nn

from ofa_models.backend import ModelBackend
from ofa_models.plans import AttentionKind, ModelPlan, Precision

OptimiserGroup = Literal["matrices", "rest"]


def build_model(plan: ModelPlan, catalog: Catalog | None = None, *, seed: int = 0) -> nn.Module:
    """Build the model of a complete plan: an ``nn.Module`` that is a :class:`ofa_models.backend.ModelBackend`.

    Equal plans and seeds give equal weights. Raises ValueError for a partial plan, CatalogError for an unknown backend.
    """
    catalog = catalog or default_catalog()
    implementation = catalog.backend(plan.backend).spec.load()
    return cast(nn.Module, implementation(plan, catalog, seed=seed))


def as_backend(model: nn.Module) -> ModelBackend:
    """The same object, typed as the seam."""
    return cast(ModelBackend, model)


class GeneralistModel:
    """A generalist that is not built yet: a partial plan, which ``fit`` completes.

    >>> GeneralistModel("tiny", dropout=0.1).plan.architecture.width
    128
    """

    def __init__(
        self, size: str = "tiny", *, attention: AttentionKind = "auto", precision: Precision = "float32", **overrides: Any
    ) -> None:
        self.plan = ModelPlan.of_size(size, attention=attention, precision=precision, **overrides)

    def __repr__(self) -> str:
        return f"GeneralistModel({self.plan.size!r}, {self.plan.architecture}, not built yet)"

    def build(self, plan: ModelPlan, *, catalog: Catalog | None = None, seed: int = 0) -> nn.Module:
        """Build a completed version of :attr:`plan`. Raises ValueError where the two are not one model."""
        filled: dict[str, Any] = {"vocabulary_size": None, "adaptors": {}, "modalities": (), "untied": ()}
        if plan.model_copy(update=filled) != self.plan.model_copy(update=filled):
            raise ValueError(f"the plan to build is another model: {plan.size} against {self.plan.size}, or other options")
        return build_model(plan, catalog, seed=seed)


def optimiser_groups(model: nn.Module) -> dict[OptimiserGroup, list[tuple[str, Tensor]]]:
    """Named parameters by how they like to be optimised.

    ``matrices``: the matrices of encoder and decoder layers (Muon). ``rest``: embedding, adaptors, gains (AdamW).
    """
    groups: dict[OptimiserGroup, list[tuple[str, Tensor]]] = {"matrices": [], "rest": []}
    for name, parameter in model.named_parameters():
        in_block = name.startswith(("encoder.", "decoder.")) and parameter.ndim == 2
        groups["matrices" if in_block else "rest"].append((name, parameter))
    return groups
