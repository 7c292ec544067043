"""The generalist: packed equals one row at a time, order and place matter, cached equals uncached."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from ofa_models.plans import ModelPlan
from ofa_models.zoo import GeneralistModel, build_model, optimiser_groups


def logits_of(model, batch):
    with torch.no_grad():
        hidden = model.decode(batch, model.encode(batch), torch.arange(batch.target.num_tokens))
        return hidden @ model.token_weight().to(hidden.dtype).T


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("experts", [False, True])
@pytest.mark.parametrize("kind", ["reference", "sdpa"])
def test_packed_equals_one_row_at_a_time(build, pack, rows, dtype, tolerance, experts, kind):
    model = build(dtype, modality_experts=experts, attention=kind)
    together = logits_of(model, pack(rows))
    apart = torch.cat([logits_of(model, pack([row])) for row in rows])
    assert (together - apart).abs().max() <= tolerance * (1 if dtype == torch.float64 else apart.abs().max())


def test_every_kernel_gives_the_same_gradients(build, pack, rows):
    batch = pack(rows)
    gradients = []
    for kind in ("reference", "sdpa"):
        model = build(attention=kind)
        model.decode(batch, model.encode(batch), batch.token_labels.positions[::2]).square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-9, atol=1e-9, msg=name)


def test_asked_positions_are_a_selection(build, pack, rows):
    model, batch = build(), pack(rows)
    memory = model.encode(batch)
    everywhere = model.decode(batch, memory, torch.arange(batch.target.num_tokens))
    some = torch.tensor([0, 3, 7, 11])
    torch.testing.assert_close(model.decode(batch, memory, some), everywhere[some], rtol=1e-12, atol=1e-12)
    assert model.decode(batch, memory, some[:0]).shape == (0, 64)


def test_swapping_two_pictures_changes_the_output(build, pack, rows):
    model = build()
    row = rows[3]
    first = replace(row, source=(replace(row.source[1], rows=2, columns=2), row.source[3]))
    second = replace(row, source=first.source[::-1])
    assert (logits_of(model, pack([first])) - logits_of(model, pack([second]))).abs().max() > 1e-3


def test_swapping_two_texts_changes_the_output(build, pack, rows):
    model = build()
    first = replace(rows[0], source=(replace(rows[1].source[0], ids=(5, 6)), replace(rows[1].source[0], ids=(7, 8))))
    second = replace(first, source=first.source[::-1])
    assert (logits_of(model, pack([first])) - logits_of(model, pack([second]))).abs().max() > 1e-3


def test_memory_tells_where_a_patch_is(build, pack, rows):
    """Equal patches in one picture: their memory differs only by place, and in a way that attention to content can read."""
    model = build()
    batch = pack([replace(rows[0], source=(rows[0].source[0],))])
    stream = batch.source.streams[1]
    flat = replace(stream, units=torch.ones_like(stream.units))
    states = model.encode(replace(batch, source=replace(batch.source, streams=(batch.source.streams[0], flat)))).states
    distances = torch.cdist(states, states) + torch.eye(len(states))
    assert distances.min() > 0.1


def test_a_target_does_not_see_what_follows(build, pack, rows):
    model = build()
    whole, cut = pack([rows[3]]), pack([replace(rows[3], target=rows[3].target[:3])])
    torch.testing.assert_close(logits_of(model, whole)[:3], logits_of(model, cut), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_cached_equals_uncached(build, pack, rows, copies, step):
    model, batch = build(), pack(rows)
    with torch.no_grad():
        memory = model.encode(batch)
        uncached = model.decode(batch, memory, torch.arange(batch.target.num_tokens)).split(batch.target.lengths.tolist())
        embedded = model.embed_ids(batch.target.streams[0].units)
        lengths = batch.target.lengths.repeat_interleave(copies)
        starts = (batch.target.lengths.cumsum(0) - batch.target.lengths).repeat_interleave(copies)
        state = model.start(memory, copies=copies, capacity=int(lengths.max()))
        got = [[] for _ in lengths]
        for at in range(0, int(lengths.max()), step):
            counts = (lengths - at).clamp(0, step)
            index = (starts[:, None] + at + torch.arange(step)).clamp(max=len(embedded) - 1)
            hidden = model.extend(state, embedded[index], batch.target.coordinates[index], counts)
            assert hidden.isfinite().all()
            for lane, count in enumerate(counts.tolist()):
                got[lane].append(hidden[lane, :count])
        assert torch.equal(state.lengths, lengths)
    for lane, parts in enumerate(got):
        torch.testing.assert_close(torch.cat(parts), uncached[lane // copies], rtol=1e-9, atol=1e-9)


def test_reordered_and_truncated_lanes_go_on_as_if_written_so(build, pack, rows):
    model, batch = build(), pack(rows[:2])
    line = torch.arange(4)[:, None].expand(4, 3)

    def write(state, ids, at):
        ids = torch.tensor(ids)[:, None]
        return model.extend(state, model.embed_ids(ids), line[at].expand(4, 1, 3), torch.ones(4, dtype=torch.int64))[:, 0]

    with torch.no_grad():
        memory = model.encode(batch)
        state = model.start(memory, copies=2, capacity=4)
        write(state, [1, 2, 3, 4], 0)
        write(state, [9, 9, 9, 9], 1)
        state.truncate(torch.ones(4, dtype=torch.int64))
        state.reorder(torch.tensor([1, 1, 3, 2]))
        got = write(state, [5, 6, 7, 8], 1)
        fresh = model.start(memory, copies=2, capacity=4)
        write(fresh, [2, 2, 4, 3], 0)
        torch.testing.assert_close(got, write(fresh, [5, 6, 7, 8], 1), rtol=1e-12, atol=1e-12)
        with pytest.raises(ValueError, match="own row"):
            state.reorder(torch.tensor([2, 1, 2, 3]))
        write(state, [1, 1, 1, 1], 2)
        write(state, [1, 1, 1, 1], 3)
        with pytest.raises(ValueError, match="holds 4 tokens"):
            write(state, [1, 1, 1, 1], 3)


def test_nodes_of_a_tree_equal_running_their_path(build, pack, rows):
    """Two trees in lanes of different rows and lengths; every node equals its path appended to the lane."""
    model, batch = build(), pack([rows[0], rows[2], rows[3]])
    prefix = torch.tensor([[1, 2], [3, 0], [0, 0]])
    counts = torch.tensor([2, 1, 0])
    paths = {(0, (5,)), (0, (6,)), (0, (5, 7)), (0, (5, 7, 9)), (1, (5,)), (2, (8,)), (2, (8, 1)), (2, (8, 2))}

    def coordinates(start, n):
        return (start + torch.arange(n))[:, None].expand(n, 3)

    with torch.no_grad():
        memory = model.encode(batch)
        state = model.start(memory, copies=1, capacity=6)
        begun = torch.stack([coordinates(0, 2)] * 3)
        model.extend(state, model.embed_ids(prefix), begun, counts)
        numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        for depth in (1, 2, 3):
            level = sorted(key for key in paths if len(key[1]) == depth)
            lanes = torch.tensor([lane for lane, _ in level])
            ancestors = torch.tensor([[numbers[lane, path[:n]] for n in range(depth - 1, 0, -1)] + [-1] for lane, path in level])
            places = torch.stack([coordinates(int(counts[lane]) + depth - 1, 1)[0] for lane, _ in level])
            written = len(numbers)
            hidden = model.extend_nodes(
                state, model.embed_ids(torch.tensor([path[-1] for _, path in level])), places, lanes, ancestors, written
            )
            numbers |= {key: written + number for number, key in enumerate(level)}
            for (lane, path), got in zip(level, hidden, strict=True):
                fresh = model.start(memory, copies=1, capacity=6)
                model.extend(fresh, model.embed_ids(prefix), begun, counts)
                steps = torch.zeros(3, dtype=torch.int64)
                steps[lane] = depth
                ids = torch.tensor(path).expand(3, depth)
                line = coordinates(int(counts[lane]), depth).expand(3, depth, 3)
                wanted = model.extend(fresh, model.embed_ids(ids), line, steps)[lane, depth - 1]
                torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
        assert torch.equal(state.lengths, counts)


def test_weights_depend_on_seed_and_name_alone(plan_of, build):
    torch.manual_seed(1)
    first = build(seed=3).state_dict()
    before = torch.random.get_rng_state()
    second = build(seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    third = build(seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embedding"], third["embedding"])


def test_a_fresh_model_adds_nothing_to_its_residual_stream(plan_of):
    from ofa_instruction import Catalog
    from ofa_models.specs import GENERALIST, IMAGE_PATCH, TEXT

    model = build_model(plan_of(), Catalog.from_specs(TEXT, IMAGE_PATCH, GENERALIST, distribution="ofa-models"))
    ends = [parameter for name, parameter in model.named_parameters() if name.endswith((".out", ".down"))]
    assert ends
    assert not any(parameter.any() for parameter in ends)


def test_dropout_acts_in_training_only(build, pack, rows):
    model, batch = build(dropout=0.5), pack(rows)
    model.eval()
    assert torch.equal(logits_of(model, batch), logits_of(model, batch))
    model.train()
    assert not torch.equal(logits_of(model, batch), logits_of(model, batch))


def test_experts_differ_by_modality(build, pack, rows):
    model, batch = build(modality_experts=True), pack(rows)
    expert = model.encoder[0].mlp.experts[2]  # 0: fixed text, then IMAGE, TEXT
    before = model.encode(batch).states
    with torch.no_grad():
        expert.down += 1
    moved = (model.encode(batch).states - before).abs().amax(1) > 1e-6
    picture_only = batch.source.lengths[:6].sum() + torch.arange(4)  # row 6 holds one picture
    assert not moved[picture_only].any()
    assert moved[0:9].any()


def test_bfloat16_autocast_stays_near_float32(build, pack, rows):
    batch = pack(rows)
    exact = logits_of(build(torch.float32), batch)
    near = logits_of(build(torch.float32, precision="bfloat16"), batch).float()
    assert (near - exact).abs().max() < 0.05 * exact.abs().max()


def test_optimiser_groups_part_block_matrices_from_the_rest(build):
    groups = optimiser_groups(build())
    matrices, rest = (dict(groups[key]) for key in ("matrices", "rest"))
    assert "encoder.0.self_attention.q" in matrices
    assert "decoder.1.mlp.down" in matrices
    assert {"embedding", "final_gain", "adaptors.image_patch.patch.weight"} <= set(rest)
    assert set(matrices) | set(rest) == {name for name, _ in build().named_parameters()}


def test_an_unknown_stream_and_a_source_only_adaptor_are_named(build):
    model = build()
    with pytest.raises(ValueError, match="no stream `audio`; it has `text`, `image_patch`"):
        model.embed_frames("audio", torch.zeros(1, 2))
    with pytest.raises(ValueError, match="`image_patch` cannot stand on the target side"):
        model.begin_vector("image_patch")
    with pytest.raises(ValueError, match="`image_patch` cannot stand on the target side"):
        model.read_frames("image_patch", torch.zeros(1, 64))


def test_an_unbuilt_model_builds_only_its_own_plan(plan_of):
    with pytest.raises(ValueError, match="partial"):
        build_model(ModelPlan.of_size("nano"))
    with pytest.raises(ValueError, match="another model"):
        GeneralistModel("tiny").build(plan_of())
