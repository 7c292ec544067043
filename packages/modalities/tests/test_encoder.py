from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ofa_instruction import compile
from ofa_modalities import SampleError, TaskEncoder

SETS = {"vqa": {"answer": ("yes", "no", "not yet")}}
INSTRUCTIONS = {
    "vqa": "[IMAGE:img] [TEXT:q] -> [TEXT:answer,closed_set]",
    "ground": "[IMAGE:img] which region does the text [TEXT:cap] describe? -> [BOX:box]",
    "detect": "[IMAGE:img] what objects? -> ([BOX:boxes] [TEXT:names])*",
    "read": "([TEXT:parts])* sum up -> [TEXT:all]",
    "either": "first [TEXT:a] -> [TEXT:b] ||| [TEXT:a] then -> [TEXT:b]",
    "forced": "say it -> [TEXT:a,no_loss] so [TEXT:b]",
    "frames": "say [TEXT:a] -> [TEXT:b] [FRAMES:f]",
    "frames_in": "[FRAMES:f] -> [TEXT:b]",
    "story": "-> [TEXT:story]",
}


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(INSTRUCTIONS, SETS)


def _spelled(run: Any, segment: Any) -> list[str]:
    return list(run.vocabulary.spell(segment.units.tolist()))


def test_source_slots_of_ids_open_with_their_begin_token_and_fixed_text_does_not(run: Any, picture: Any) -> None:
    source = run.encode("ground", {"img": picture, "cap": "cat", "box": [1, 2, 30, 40]}).source
    assert [segment.adaptor for segment in source] == ["image_patch", "text", "text", "text"]
    assert _spelled(run, source[2])[0] == "<begin:TEXT>"
    assert not _spelled(run, source[1])[0].startswith("<begin")


def test_a_target_of_ids_shifts_inside_itself(run: Any) -> None:
    target = run.encode("story", {"story": "the cat sat"}).target[0]
    ids = run.vocabulary.tokenizer.encode("the cat sat")
    assert target.units.tolist() == [run.vocabulary.id("begin:TEXT"), *ids]
    assert target.labels.tolist() == [*ids, run.vocabulary.id("end")]
    assert target.nodes.tolist() == [-1] * len(target.labels)


def test_a_target_of_fixed_length_has_no_end(run: Any, picture: Any) -> None:
    target = run.encode("ground", {"img": picture, "cap": "cat", "box": [1, 2, 30, 40]}).target[0]
    assert len(target.units) == len(target.labels) == 4
    assert target.units[1:].tolist() == target.labels[:-1].tolist()
    assert target.refers == 0


def test_a_target_of_floats_opens_with_the_begin_vector_and_ends_with_a_stop(run: Any) -> None:
    frames = np.arange(6.0).reshape(3, 2)
    target = run.encode("frames", {"a": "x", "b": "y", "f": frames}).target[1]
    assert target.begins
    assert target.layout == (3,)
    assert np.array_equal(target.units, frames[:-1])
    assert np.array_equal(target.frames, frames)
    assert target.stop.tolist() == [0, 0, 1]
    one = run.encode("frames", {"a": "x", "b": "y", "f": frames[:1]}).target[1]
    assert one.units.shape == (0, 2)
    assert one.shape == (0,)
    assert one.layout == (1,)


def test_repeats_on_the_target_choose_next_or_end(run: Any, picture: Any) -> None:
    row = {"img": picture, "boxes": [[1, 2, 30, 40], [0, 0, 64, 48]], "names": ["cat", "dog"]}
    example = run.encode("detect", row)
    vocabulary = run.vocabulary
    chosen = vocabulary.spell(int(s.labels[0]) for s in example.target if s.slot == -1)
    assert chosen == ["<next>", "<next>", "<end>"]
    assert all(_spelled(run, s) == ["<choose>"] for s in example.target if s.slot == -1)
    boxes = [s for s in example.target if s.slot >= 0 and s.refers >= 0]
    assert len(boxes) == 2
    assert {s.label_slot for s in example.target if s.slot == -1} == {boxes[0].slot}
    empty = run.encode("detect", {"img": picture, "boxes": [], "names": []})
    assert vocabulary.spell(int(s.labels[0]) for s in empty.target) == ["<end>"]


def test_repeats_on_the_source_are_framed(run: Any) -> None:
    source = run.encode("read", {"parts": ["a cat", "a dog"], "all": "x"}).source
    assert [_spelled(run, s)[0] for s in source[:5]] == ["<next>", "<begin:TEXT>", "<next>", "<begin:TEXT>", "<end>"]
    assert all(segment.labels is None for segment in source)


@pytest.mark.parametrize(
    ("task", "row", "column"),
    [
        ("story", {}, "story"),
        ("story", {"story": None}, "story"),
        ("story", {"story": ""}, "story"),
        ("detect", {"boxes": [[1, 2, 3, 4]], "names": []}, "names"),
        ("detect", {"boxes": 7, "names": ["a"]}, "boxes"),
        ("detect", {"boxes": [[1, 2, 3, 4]], "names": [None]}, "names"),
        ("ground", {"cap": "cat", "box": [50, 2, 30, 40]}, "box"),
        ("vqa", {"q": "is it?", "answer": "perhaps"}, "answer"),
    ],
)
def test_a_bad_row_is_a_sample_error_with_address_and_column(run: Any, picture: Any, task: str, row: Any, column: str) -> None:
    with pytest.raises(SampleError) as caught:
        run.encode(task, {"img": picture, **row}, address="my.csv:row 12")
    assert caught.value.column == column
    assert str(caught.value).startswith(f"my.csv:row 12:{column}: ")


def test_alternatives_are_drawn_in_training_only_and_share_lines(run: Any) -> None:
    row = {"a": "x", "b": "y"}
    drawn = [run.encode("either", row, rng=np.random.default_rng(seed)) for seed in range(20)]
    assert {example.alternative for example in drawn} == {0, 1}
    assert {example.target[0].slot for example in drawn} == {drawn[0].target[0].slot}
    assert run.encode("either", row, split="valid").alternative == 0
    assert run.encode("either", row, alternative=1).source[1].slot == -1
    assert sum(slot.task == "either" for slot in run.encoder.slots) == 2


def test_without_targets_only_no_loss_columns_are_needed(run: Any, picture: Any) -> None:
    example = run.encode("ground", {"img": picture, "cap": "cat"}, with_targets=False, split="infer")
    assert example.target == ()
    assert example.referred[0][0].size_px == (64, 48)
    assert len(example.referred[0][0].units) == 0
    line = run.encoder.line("ground", run.encoder.instruction("ground").target[0])
    start = run.vocabulary.block("bin").start
    box = run.encoder.decode(line, np.array([start, start, start + 63, start + 63]), example)
    assert np.allclose(box, [0.5, 0.375, 63.5, 47.625])
    with pytest.raises(SampleError, match="`a` is missing"):
        run.encode("forced", {}, with_targets=False, split="infer")
    forced = run.encode("forced", {"a": "the cat"}, with_targets=False).forced
    assert [run.vocabulary.tokenizer.decode(item.units.tolist()) for items in forced.values() for item in items] == ["the cat"]


def test_no_loss_and_fixed_text_on_the_target_have_no_labels(run: Any) -> None:
    target = run.encode("forced", {"a": "the cat", "b": "dog"}).target
    assert [segment.labels is None for segment in target] == [True, True, False]
    assert target[0].units.tolist() == [run.vocabulary.id("begin:TEXT"), *run.vocabulary.tokenizer.encode("the cat")]
    assert target[1].units.tolist() == run.encoder.fixed_ids("so")


def test_a_row_beyond_its_limit_names_the_longest_column(make_run: Callable[..., Any]) -> None:
    run = make_run({"t": "[TEXT:long] -> [TEXT:b]"}, max_row_tokens=10)
    with pytest.raises(SampleError, match="more than 10") as caught:
        run.encode("t", {"long": "the cat sat on the mat " * 5, "b": "x"})
    assert caught.value.column == "long"


def _same(one: Any, other: Any) -> bool:
    pairs = [*zip(one.source, other.source, strict=True), *zip(one.target, other.target, strict=True)]
    return all(a.layout == b.layout and a.slot == b.slot and np.array_equal(a.units, b.units) for a, b in pairs)


def test_encoding_is_deterministic_and_survives_pickling(make_run: Callable[..., Any], picture: Any) -> None:
    run = make_run(
        {
            "fill": "fill [TEXT:t,mask_ratio=0.5] -> [TEXT:t] ||| [TEXT:t,mask_ratio=0.5] fill -> [TEXT:t]",
            "mild": "[BOX:box,of=img] [IMAGE:img,augment=mild] -> [TEXT:t,noise_ratio=0.5]",
        }
    )
    other = pickle.loads(pickle.dumps(run.encoder))
    row = {"t": "one two three four five six", "img": picture, "box": [1, 2, 30, 40]}
    for task in ("fill", "mild"):
        for seed in range(5):
            one, two = (
                encoder.encode(task, row, split="train", rng=np.random.default_rng(seed)) for encoder in (run.encoder, other)
            )
            assert _same(one, two)
    assert not _same(*(run.encode("mild", row, rng=np.random.default_rng(seed)) for seed in range(2)))


def test_a_box_may_stand_before_its_picture(make_run: Callable[..., Any], picture: Any) -> None:
    run = make_run({"t": "[BOX:box,of=img] of [IMAGE:img] -> [TEXT:t]"})
    source = run.encode("t", {"box": [1, 2, 30, 40], "img": picture, "t": "x"}).source
    assert source[0].refers == 2
    assert source[2].adaptor == "image_patch"


def test_streams_say_what_a_model_must_read(run: Any) -> None:
    assert {name: need.unit_features for name, need in run.encoder.streams.items()} == {
        "frames": 2,
        "image_patch": 192,
        "text": None,
    }


def test_one_adaptor_with_two_widths_is_an_error(make_run: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="`image_patch` is used twice"):
        make_run({"a": "[IMAGE:img] -> [TEXT:t]", "b": "[IMAGE:img,patch=4] -> [TEXT:t]"})


def test_what_cannot_be_encoded_yet_says_so(run: Any) -> None:
    task = compile("[IMAGE:a|TEXT:b] ->", run.catalog, run.catalog.backend("generalist").spec, name="match")
    with pytest.raises(ValueError, match="contrast"):
        TaskEncoder([task], run.catalog, run.vocabulary)


def test_unknown_and_repeated_tasks_are_errors(run: Any) -> None:
    with pytest.raises(KeyError, match="no task `vqq`; there are vqa"):
        run.encode("vqq", {})
    with pytest.raises(ValueError, match="two tasks have one name"):
        TaskEncoder([run.tasks[0], run.tasks[0]], run.catalog, run.vocabulary, SETS)
