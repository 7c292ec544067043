"""The words of an answer, asked of the encoder itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from ofa_modalities.batch import FrameLabels, Side
from ofa_trainer.criteria.source_words import SourceWords, pooled_states
from ofa_trainer.criteria.specs import SourceWordsOptions

WORD = 9  # the vocabulary of these tests: 8 control tokens, then words
END = 3


@pytest.fixture
def source(make) -> Side:
    """Three rows of 6, 2 and 0 tokens; the first opens with a picture of 4 patches."""
    stream = make.images([(2, 2)])
    return replace(make.side(streams=[stream], num_tokens=8), lengths=torch.tensor([6, 2, 0]))


def test_rows_are_pooled_over_their_pictures_or_over_everything(source: Side) -> None:
    states = torch.arange(16.0).reshape(8, 2)
    pooled = pooled_states(states, source)
    assert torch.equal(pooled[0], states[:4].mean(0))
    assert torch.equal(pooled[1], states[6:].mean(0))
    assert torch.equal(pooled[2], torch.zeros(2))


def packed(make, source: Side):
    labels = make.labels([WORD, WORD + 1, END, WORD + 2, END], [0, 0, 0, 1, 1], segments=[0, 0, 0, 1, 1], weights=[1, 2, 1, 1, 1])
    target = make.side(segments=[(0, 0, 0, 0, 0, 3, -1), (1, 1, 0, 1, 3, 2, -1)], num_tokens=5)
    return make.batch([make.slot("TEXT"), make.slot("TEXT")], labels, source=source, target=target), labels


def test_every_word_is_scored_under_its_rows_distribution_and_no_control_token_is(make, source: Side) -> None:
    batch, labels = packed(make, source)
    criterion = SourceWords(SourceWordsOptions(weight=0.5), make.context)
    inputs = make.inputs(batch, labels, scale=[2.0, 4.0])
    pooled = pooled_states(inputs.memory.states, source)
    log_p = (criterion.map(pooled) @ inputs.model.token_weight().T).log_softmax(-1)
    first = -(log_p[0, WORD] + 2 * log_p[0, WORD + 1])
    second = -log_p[1, WORD + 2]
    terms = criterion(inputs)
    torch.testing.assert_close(terms.loss, 0.5 * (2 * first + 4 * second))
    torch.testing.assert_close(terms.sums, torch.stack([first, second]).detach())
    assert criterion.count(batch, labels).tolist() == [3.0, 1.0]


def test_the_encoder_and_the_map_get_gradients(make, source: Side) -> None:
    batch, labels = packed(make, source)
    criterion = SourceWords(SourceWordsOptions(), make.context)
    inputs = make.inputs(batch, labels)
    criterion(inputs).loss.backward()
    grad = inputs.memory.states.grad
    assert grad[:4].abs().min() > 0, "the picture"
    assert grad[4:6].abs().max() == 0, "words beside a picture are not pooled"
    assert grad[6:].abs().min() > 0
    assert criterion.map.weight.grad.abs().max() > 0


def test_logits_are_kept_for_rows_and_not_for_labels(make, source: Side) -> None:
    batch, labels = packed(make, source)
    kept: list[torch.Size] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        SourceWords(SourceWordsOptions(), make.context)(make.inputs(batch, labels))
    size = make.context.vocabulary.size
    assert (2, size) in kept
    assert (len(labels.ids), size) not in kept


def test_float_units_have_no_words(make) -> None:
    frames = FrameLabels(
        adaptor="a",
        positions=torch.zeros(1, dtype=torch.int64),
        frames=torch.zeros(1, 3),
        stop=torch.zeros(1),
        weights=torch.ones(1),
        slots=torch.zeros(1, dtype=torch.int64),
        segments=torch.zeros(1, dtype=torch.int64),
    )
    with pytest.raises(ValueError, match="slots of ids"):
        SourceWords(SourceWordsOptions(), make.context).count(make.batch([make.slot("AUDIO")]), frames)
