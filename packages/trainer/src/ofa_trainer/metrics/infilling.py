"""Infilling: which of the masked words does the answer restore?

    # R rows

The text as shown, its masks in place, is laid against the reference: the words that are not visible are the masked ones.
The answer is then laid against the reference, word by word where both are equally long and by longest matching runs
(difflib) where not, and a masked word counts as restored when the answer has it at its place. Words are those that masking
hides: :func:`ofa_modalities.text.words.spans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np
from ofa_modalities.text.words import spaced

from ofa_trainer.metrics.metric import Judged, Scores, mean_scores
from ofa_trainer.metrics.text import normalise

if TYPE_CHECKING:
    from ofa_modalities.encoder import TaskEncoder
    from ofa_modalities.segment import Example

    from ofa_trainer.metrics.specs import NoOptions

MASK = "<mask>"


def masked_words(shown: str, reference: str, *, is_cut: bool = False) -> list[int]:
    """Places in the reference's words that ``shown`` hides, ascending. is_cut: the reference goes on where ``shown`` ends.

    >>> masked_words("the <mask> sat on the <mask>", "the black cat sat on the mat")
    [1, 2, 6]
    """
    seen = spaced(normalise(shown.replace(MASK, f" {MASK} ")))
    wanted = spaced(normalise(reference))
    visible = _in_place(seen, wanted)
    if len(visible) + seen.count(MASK) < len(wanted) or len(seen) != len(wanted):
        visible = _in_runs(seen, wanted)
    stop = len(wanted)
    if is_cut:
        masks = next((count for count, word in enumerate(reversed(seen)) if word != MASK), len(seen))
        stop = min(stop, max(visible, default=-1) + 1 + masks)
    return [place for place in range(stop) if place not in visible]


def restored_words(answer: str, reference: str) -> set[int]:
    """Places in the reference's words where the answer agrees."""
    said, wanted = spaced(normalise(answer)), spaced(normalise(reference))
    in_runs = _in_runs(said, wanted)
    if len(said) != len(wanted):
        return in_runs
    return max(_in_place(said, wanted), in_runs, key=len)


def _in_place(words: list[str], reference: list[str]) -> set[int]:
    """Places where both lists have the same word."""
    return {place for place, (word, right) in enumerate(zip(words, reference, strict=False)) if word == right}


def _in_runs(words: list[str], reference: list[str]) -> set[int]:
    """Places in ``reference`` inside the longest matching runs of both lists; a mask matches nothing."""
    matcher = SequenceMatcher(None, words, reference, autojunk=False)
    return {block.b + offset for block in matcher.get_matching_blocks() for offset in range(block.size)}


def shown_text(encoder: TaskEncoder, example: Example, column: str) -> str | None:
    """The text of ``column`` as the model reads it in an encoded row, with its masks; None where it is not read."""
    sources = {line for line, slot in enumerate(encoder.slots) if slot.slot.side == "source" and slot.slot.column == column}
    parts = [segment.units for segment in example.source if segment.slot in sources and segment.units.dtype == np.int64]
    return encoder.vocabulary.tokenizer.decode(index for part in parts for index in part.tolist()) if parts else None


def masked_word_accuracy(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Restored masked words over masked words, over the corpus. A row that hides nothing has no weight.

    Raises ValueError where a row does not say what was shown.
    """
    shares, weights = [], []
    for row in rows:
        if row.shown is None:
            raise ValueError("masked_word_accuracy needs the text as the model was shown it, and got none")
        hidden = masked_words(row.shown, str(row.reference), is_cut=row.shown_is_cut)
        restored = restored_words("" if row.answer is None else str(row.answer), str(row.reference))
        shares.append(sum(place in restored for place in hidden) / len(hidden) if hidden else 0.0)
        weights.append(float(len(hidden)))
    return mean_scores(shares, weights)
