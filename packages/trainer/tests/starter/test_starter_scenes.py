"""Composed scenes: exact boxes, and questions whose answers follow from the record."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_trainer.starter import _scenes, compose_scene
from ofa_trainer.starter._ask import QUESTION_KINDS, ask
from ofa_trainer.starter._pack import SPLITS, Split, backgrounds, sprites
from PIL import Image

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(SPLITS))
def test_boxes_enclose_the_sprites_tightly(seed: int, split: Split) -> None:
    """Each box is the extent of what changed when its sprite was pasted, up to the faint rim of the alpha."""
    pastes: list[tuple[np.ndarray, np.ndarray]] = []

    class Recorder(Image.Image):
        pass

    original = Image.Image.paste

    def paste(self: Image.Image, sprite: Image.Image, at: tuple[int, int], mask: Image.Image) -> None:
        alpha = Image.new("L", self.size)
        original(alpha, mask.getchannel("A"), at)
        pastes.append((np.asarray(self).copy(), np.asarray(alpha)))
        original(self, sprite, at, mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "paste", paste)
        scene = compose_scene(np.random.default_rng(seed), split)
    for thing, (_, alpha) in zip(scene.objects, pastes[-len(scene.objects) :], strict=True):
        ys, xs = np.nonzero(alpha >= 32)
        assert thing.box_xyxy_px == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 4))
def test_a_scene_has_the_things_it_says(seed: int, count: int) -> None:
    scene = compose_scene(np.random.default_rng(seed), "train", count)
    assert scene.image.size == (64, 64)
    assert scene.image.mode == "RGB"
    assert len({thing.name for thing in scene.objects}) == len(scene.objects) == count
    known = {(drawing.name, drawing.style, drawing.category) for group in sprites() for drawing in group}
    for thing in scene.objects:
        left, top, right, bottom = thing.box_xyxy_px
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 64
        assert max(right - left, bottom - top) >= 12
        assert (thing.name, thing.style, thing.category) in known


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_same_seed_composes_the_same_scene(seed: int) -> None:
    first, second = (ask(np.random.default_rng(seed), "test") for _ in range(2))
    assert first[0].image.tobytes() == second[0].image.tobytes()
    assert first[0].objects == second[0].objects
    assert first[1] == second[1]


def test_scenes_stand_on_photographs_of_their_split() -> None:
    for split in SPLITS:
        own = {ground.photograph for ground in backgrounds(split)}
        for seed in range(20):
            assert compose_scene(np.random.default_rng(seed), split).photograph in own


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_answers_follow_from_the_record(seed: int) -> None:
    scene, question = ask(np.random.default_rng(seed), "train")
    middle = {thing.name: thing.centre_px for thing in scene.objects}
    named = question.text.rstrip("?").split()[-1]
    match question.kind:
        case "count":
            assert question.answer == ("one", "two", "three", "four")[len(scene.objects) - 1]
        case "exists":
            assert question.answer == ("yes" if named in middle else "no")
        case "where":
            x, y = middle[named]
            assert question.answer == f"{'top' if y < 32 else 'bottom'} {'left' if x < 32 else 'right'}"
        case "left_of":
            assert [name for name, (x, _) in middle.items() if x < middle[named][0]] == [question.answer]
        case "category_half":
            is_left = "left" in question.text
            inside = {thing.category for thing in scene.objects if (thing.centre_px[0] < 32) == is_left}
            assert inside == {question.answer}


def test_kinds_and_answers_are_balanced() -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(1500):
        _, question = ask(np.random.default_rng(seed), "train")
        answers[question.kind][question.answer] += 1
    assert set(answers) == set(QUESTION_KINDS)
    largest = {kind: max(counts.values()) / counts.total() for kind, counts in answers.items()}
    assert largest["exists"] < 0.58
    assert largest["count"] < 0.33
    assert largest["where"] < 0.33
    assert largest["left_of"] < 0.1
    assert largest["category_half"] < 0.45


def test_a_scene_without_room_is_drawn_again() -> None:
    assert _scenes._covered((0, 0, 10, 10), (5, 5, 15, 15)) == 0.25
    assert _scenes._covered((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
