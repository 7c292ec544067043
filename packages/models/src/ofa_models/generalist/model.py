"""The generalist: a pre-norm encoder-decoder that works on packed tokens from end to end.

    # R rows, T packed tokens of a side, L asked positions, D model width, V vocabulary, H head width
    # generation: N lanes, K new tokens of a lane, M tree nodes, A ancestors

    streams ──embed──▶ tokens ──norm──▶ encoder layers ──norm + places──▶ memory
                       tokens ──norm──▶ decoder layers (memory) ──▶ final norm at asked positions only

What was traded away: norms have a gain only at the ends of the stacks, no matrix has a bias, and the order of
channels in a head is fixed by the rotary coordinates (see rotary.py). Modality experts stand in the encoder only: while
an answer is generated the modality of the next token is the answer's own business.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import cast

import torch
from ofa_instruction import Catalog, default_catalog
from ofa_modalities.batch import PackedBatch, SegmentColumn, Side, Stream
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_models.adaptors.base import Adaptor, DiffusionAdaptor, FrameAdaptor, frames_looked_back
from ofa_models.attention import PackedAttention, RowMask, make_attention
from ofa_models.backend import DecoderState, FrameOutput, Memory
from ofa_models.functional import compute_dtype, rms_norm
from ofa_models.generalist import incremental, nodes
from ofa_models.generalist.layers import DecoderLayer, EncoderLayer, drop
from ofa_models.generalist.rotary import rotation
from ofa_models.plans import ModelPlan
from ofa_models.precision import autocast_for
from ofa_models.shapes import shapes_are_enough


class Generalist(nn.Module):
    """A :class:`ofa_models.backend.ModelBackend`; build it from a complete plan."""

    def __init__(self, plan: ModelPlan, catalog: Catalog | None = None, *, seed: int = 0) -> None:
        """Weights depend on the seed and on names alone, not on the global random state.

        Raises ValueError for a partial plan.
        """
        super().__init__()
        if plan.vocabulary_size is None:
            raise ValueError("the model plan is partial: its vocabulary size is not known yet (`fit` completes it)")
        self.plan = plan
        size = plan.architecture
        shape = (size.width, size.num_heads, size.head_width, size.mlp_width, size.dropout)
        num_experts = 1 + len(plan.modalities) if size.modality_experts else 0
        with _seeded(seed, "embedding"):
            self.embedding = nn.Parameter(torch.randn(plan.vocabulary_size, size.width) * 0.02)
        self.classifier: nn.Parameter | None = None
        if num_untied := sum(stop - start for start, stop in plan.untied):
            with _seeded(seed, "classifier"):
                self.classifier = nn.Parameter(torch.randn(num_untied, size.width) * 0.02)
        self._untied: tuple[tuple[object, ...], Tensor] | None = None
        self.encoder = nn.ModuleList()
        for number in range(size.encoder_layers):
            with _seeded(seed, f"encoder.{number}"):
                self.encoder.append(EncoderLayer(*shape, num_experts))
        self.decoder = nn.ModuleList()
        for number in range(size.decoder_layers):
            with _seeded(seed, f"decoder.{number}"):
                self.decoder.append(DecoderLayer(*shape))
        self.memory_gain = nn.Parameter(torch.ones(size.width))
        self.final_gain = nn.Parameter(torch.ones(size.width))
        self.adaptors = nn.ModuleDict()
        self._ids = frozenset(_build_adaptors(self.adaptors, plan, catalog or default_catalog(), seed))

    # The two sides

    def encode(self, batch: PackedBatch) -> Memory:
        """Run the source side."""
        side = batch.source
        with self._autocast():
            x = self._embed(side)
            attention = self._attention(RowMask.within(side.lengths, side.causal), x)
            cis = self._rotation(side.coordinates)
            routes = self._routes(batch) if self.plan.architecture.modality_experts else ()
            for layer in self.encoder:
                x = layer(x, cis, attention, routes)
            states = rms_norm(x) * self.memory_gain.to(compute_dtype(x))
            for stream in side.streams:
                place = self._adaptor(stream.adaptor).memory_place(stream.shapes)
                if place is not None:
                    states = states.index_add(0, stream.token_positions, place.to(states.dtype))
        return Memory(states=states, lengths=side.lengths)

    def decode(self, batch: PackedBatch, memory: Memory, positions: Tensor) -> Tensor:
        """Run the target side; final states ``[L, D]`` at ``positions``, in the dtype that products run in."""
        side = batch.target
        with self._autocast():
            x = self._embed(side)
            attention = self._attention(RowMask.within(side.lengths, side.causal), x)
            cross = self._attention(RowMask.across(side.lengths, memory.lengths), x)
            cis = self._rotation(side.coordinates)
            for layer in self.decoder[:-1]:
                x = layer(x, memory.states, cis, attention, cross)
            return self.finish(self.decoder[-1](x, memory.states, cis, attention, cross, positions))

    def finish(self, x: Tensor) -> Tensor:
        """The final norm: residual states to what the heads read, any leading shape."""
        return rms_norm(x) * self.final_gain.to(compute_dtype(x))

    # Heads and embeddings

    def token_weight(self) -> Tensor:
        """``[V, D]``: the embedding, with the classifier's rows in place of those that the plan unties."""
        if self.classifier is None:
            return self.embedding
        if torch.is_grad_enabled() or self.training:
            self._untied = None
            return self._untie(self.classifier)
        # Put together once for all answers. Fused optimisers do not count versions up, but no step goes without the branch above.
        parts = (self.embedding, self.classifier)
        key = tuple((part.data_ptr(), part._version, part.dtype, part.device) for part in parts)
        if self._untied is None or self._untied[0] != key:
            self._untied = (key, self._untie(self.classifier))
        return self._untied[1]

    def _untie(self, classifier: Tensor) -> Tensor:
        pieces: list[Tensor] = []
        row = place = 0
        for start, stop in self.plan.untied:
            pieces += [self.embedding[place:start], classifier[row : row + stop - start]]
            row, place = row + stop - start, stop
        return torch.cat([*pieces, self.embedding[place:]])

    def read_frames(self, adaptor: str, hidden: Tensor) -> FrameOutput:
        """Read float units of one adaptor's stream out of states ``[L, D]``."""
        module = self._adaptor(adaptor)
        if not hasattr(module, "read"):
            raise ValueError(f"the adaptor `{adaptor}` cannot stand on the target side: it has no `read`")
        return cast(FrameAdaptor, module).read(hidden)

    def refine_frames(self, adaptor: str, frames: Tensor, counts: Tensor) -> Tensor | None:
        """What the adaptor's post-net makes of whole items; None where it has none."""
        module = self._adaptor(adaptor)
        if not isinstance(module, FrameAdaptor):
            return None
        with self._autocast():
            return module.refine(frames, counts)

    def embed_ids(self, ids: Tensor) -> Tensor:
        """int64 ``[...]`` → ``[..., D]``."""
        return F.embedding(ids, self.embedding)

    def embed_frames(self, adaptor: str, units: Tensor, noise: Tensor | None = None) -> Tensor:
        """float32 ``[n, F]`` → ``[n, D]``, as the frames of one item."""
        shapes = torch.tensor([[units.shape[0]]], device=units.device)
        module, units = self._adaptor(adaptor), units.to(self.embedding.dtype)
        with self._autocast():
            if noise is not None and isinstance(module, FrameAdaptor):
                return module.embed_answered(units, shapes, noise)
            return module.embed(units, shapes)

    def frame_noise(self, adaptor: str) -> int:
        """As the adaptor says."""
        module = self._adaptor(adaptor)
        return module.noise_width if isinstance(module, FrameAdaptor) else 0

    def frames_looked_back(self, adaptor: str) -> int | None:
        """As the adaptor's class says."""
        return frames_looked_back(type(self._adaptor(adaptor)))

    def begin_vector(self, adaptor: str) -> Tensor:
        """``[D]``."""
        begin = getattr(self._adaptor(adaptor), "begin", None)
        if not isinstance(begin, Tensor):
            raise ValueError(f"the adaptor `{adaptor}` cannot stand on the target side: it has no `begin`")
        return begin

    # Generation

    def start(self, memory: Memory, *, copies: int, capacity: int) -> DecoderState:
        """An empty cache of ``rows · copies`` lanes."""
        with self._autocast():
            return incremental.start(self, memory, copies, capacity)

    def extend(self, state: DecoderState, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
        """Append up to K tokens to each lane; final states ``[N, K, D]``."""
        assert isinstance(state, incremental.Cache)
        with self._autocast():
            return incremental.extend(self, state, embedded, coordinates, counts)

    def extend_nodes(
        self, state: DecoderState, embedded: Tensor, coordinates: Tensor, lanes: Tensor, ancestors: Tensor, written: int
    ) -> Tensor:
        """Run M tree nodes beside the cache; final states ``[M, D]``."""
        assert isinstance(state, incremental.Cache)
        with self._autocast():
            return nodes.extend_nodes(self, state, embedded, coordinates, lanes, ancestors, written)

    # Parts

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return autocast_for(self.plan.precision, self.embedding)

    def _adaptor(self, name: str) -> Adaptor:
        if name not in self.adaptors:
            raise ValueError(f"the model has no stream `{name}`; it has {', '.join(f'`{known}`' for known in self.adaptors)}")
        return cast(Adaptor, self.adaptors[name])

    def enter(self, x: Tensor) -> Tensor:
        """Embedded tokens to the first residual states, any leading shape: every stream starts at the same size."""
        x = x.to(self.embedding.dtype)
        return drop(rms_norm(x).to(x.dtype), self.plan.architecture.dropout, self.training)

    def _embed(self, side: Side) -> Tensor:
        x = self.embedding.new_zeros(side.num_tokens, self.plan.architecture.width)
        for stream in side.streams:
            if stream.token_positions.numel():
                x = x.index_copy(0, stream.token_positions, self._embed_stream(stream).to(x.dtype))
            if stream.begin_positions.numel():
                begin = self.begin_vector(stream.adaptor).to(x.dtype)
                x = x.index_copy(0, stream.begin_positions, begin.expand(stream.begin_positions.shape[0], -1))
        return self.enter(x)

    def _embed_stream(self, stream: Stream) -> Tensor:
        module, dtype = self._adaptor(stream.adaptor), self.embedding.dtype
        if stream.times is not None:
            if not isinstance(module, DiffusionAdaptor):
                raise ValueError(f"the adaptor `{stream.adaptor}` cannot be answered by diffusion")
            noise = None if stream.noise is None else stream.noise.to(dtype)
            return module.embed_noisy(stream.units.to(dtype), stream.shapes, noise, stream.times.to(dtype))
        units = self.embed_ids(stream.units) if stream.adaptor in self._ids else stream.units.to(dtype)
        return module.embed(units, stream.shapes)

    def _attention(self, mask: RowMask, x: Tensor) -> PackedAttention:
        heads = self.plan.architecture.num_heads
        return make_attention(self.plan.attention, mask, num_heads=heads, dtype=compute_dtype(x), device=x.device)

    def _rotation(self, coordinates: Tensor) -> Tensor:
        size = self.plan.architecture
        return rotation(coordinates, size.head_width, size.rotary_base, self.embedding.dtype)

    def _routes(self, batch: PackedBatch) -> tuple[Tensor, ...]:
        """Positions of each expert's tokens: expert 0 has fixed text, control tokens and modalities the plan does not list."""
        expert_of = {modality: number for number, modality in enumerate(self.plan.modalities, 1)}
        segments = batch.source.segments
        table = torch.tensor([*(expert_of.get(line.slot.modality, 0) for line in batch.slots), 0], device=segments.device)
        expert = table[segments[:, SegmentColumn.SLOT]].repeat_interleave(segments[:, SegmentColumn.NUM_TOKENS])
        order = segments[:, SegmentColumn.TOKEN_START].argsort()
        if not bool((order.diff() > 0).all()):
            raise ValueError("segments of the source side do not follow each other")
        return tuple((expert == number).nonzero().flatten() for number in range(1 + len(self.plan.modalities)))


@contextlib.contextmanager
def _seeded(seed: int, name: str) -> Iterator[None]:
    """Inside, the CPU's global generator is seeded by seed and name; outside, it is as it was."""
    if shapes_are_enough():
        yield
        return
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        yield


def _build_adaptors(modules: nn.ModuleDict, plan: ModelPlan, catalog: Catalog, seed: int) -> list[str]:
    """Build every adaptor of the plan; return the names of those whose units are ids."""
    ids: list[str] = []
    for name, stream in plan.adaptors.items():
        options = catalog.validate(stream.adaptor, "ofa.adaptors")
        spec = catalog.adaptor(stream.adaptor.name).spec
        with _seeded(seed, f"adaptors.{name}"):
            modules[name] = spec.load()(options, stream.unit_features, plan.architecture.width)
        if spec.units == "ids":
            ids.append(name)
    return ids
