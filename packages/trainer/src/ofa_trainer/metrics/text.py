"""Metrics of texts and labels.

# R rows, S sums a row contributes

What is equal says :mod:`ofa_modalities.text.equality`, where words begin and end :mod:`ofa_modalities.text.words`. On English
the figures are those of the libraries that are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ofa_modalities.text.equality import EqualTexts, folded
from ofa_modalities.text.words import HAS_NO_BLANKS, plain_words, segments, spaced
from ofa_modalities.text.words import words as words_of

from ofa_trainer.metrics.metric import Float64, Judged, Scores, mean_scores, ratio

if TYPE_CHECKING:
    from ofa_trainer.metrics.specs import NoOptions, RougeOptions

_BLEU_ORDER = 4


def normalise(value: object) -> str:
    """A text as metrics compare it: :func:`~ofa_modalities.text.equality.folded`; None is empty."""
    return folded(str(value)) if value is not None else ""


def words(value: object) -> list[str]:
    """The words of :func:`ofa_modalities.text.words.words`, case aside."""
    return words_of(normalise(value))


def exact_match(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """1 where answer and reference are equal: one candidate of their closed set, else one text, case aside. Also ``accuracy``.

    Lists (of a repeat) are equal where they are as long and equal item by item.
    """
    return mean_scores([float(_are_equal(row.answer, row.reference, row.candidates)) for row in rows])


def _are_equal(answer: object, reference: object, candidates: EqualTexts | None) -> bool:
    if isinstance(answer, list | tuple) and isinstance(reference, list | tuple):
        pairs = zip(answer, reference, strict=False)
        return len(answer) == len(reference) and all(_are_equal(one, other, candidates) for one, other in pairs)
    if candidates is None or answer is None:
        return normalise(answer) == normalise(reference)
    return candidates.are_equal(str(answer), str(reference))


def token_f1(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Word F1 of Rajpurkar et al. 2016 (arXiv 1606.05250), without dropping articles, over the :func:`words` of any script.

    Two texts without words agree where they are equal.
    """
    return mean_scores([_f1(normalise(row.answer), normalise(row.reference)) for row in rows])


def _f1(answer: str, reference: str) -> float:
    found, wanted = words_of(answer), words_of(reference)
    if not found or not wanted:
        return float(answer == reference)
    shared = (Counter(found) & Counter(wanted)).total()
    return 2 * shared / (len(found) + len(wanted))


def rouge_l(rows: Sequence[Judged], options: RougeOptions) -> Scores:
    """ROUGE F1 (Lin 2004) as the rouge-score package computes it, over the words of any script.

    That package knows the letters a to z and digits alone. Here letters, marks and digits of all scripts make words, runs of
    them as there, one by one in scripts without blanks; an emoji is a word too. Two texts without words agree where they are
    equal.
    """
    from rouge_score.rouge_scorer import RougeScorer

    splitter = _RougeWords(stem=options.stem)
    scorer = RougeScorer([options.variant], tokenizer=splitter)
    scores = []
    for row in rows:
        answer, reference = normalise(row.answer), normalise(row.reference)
        if answer == reference and not splitter.tokenize(reference):
            scores.append(1.0)
            continue
        score: Any = scorer.score(reference, answer)
        scores.append(float(score[options.variant].fmeasure))
    return mean_scores(scores)


class _RougeWords:
    """A tokenizer of rouge-score."""

    def __init__(self, *, stem: bool) -> None:
        self._stem = None
        if stem:
            from nltk.stem.porter import PorterStemmer

            self._stem = PorterStemmer().stem

    def tokenize(self, text: str) -> list[str]:
        """Words of a folded text; English ones stemmed where they are longer than three letters, as the package does."""
        found = plain_words(text)
        if self._stem is None:
            return found
        return [self._stem(word) if len(word) > 3 and word.isascii() else word for word in found]


def wer(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Word error rate by jiwer: (substitutions + deletions + insertions) / reference words, over the corpus.

    Words stand between blanks; in scripts without blanks they are :func:`ofa_modalities.text.words.spaced`.
    """
    from jiwer import process_words

    errors, lengths = [], []
    for row in rows:
        reference, answer = spaced(normalise(row.reference)), spaced(normalise(row.answer))
        if reference:
            counts = process_words(" ".join(reference), " ".join(answer))
            errors.append(counts.substitutions + counts.deletions + counts.insertions)
        else:
            errors.append(len(answer))
        lengths.append(len(reference))
    return Scores(sums=np.stack([np.asarray(errors, np.float64), np.asarray(lengths, np.float64)], axis=-1), figure=ratio)


def bleu(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Corpus BLEU (Papineni et al. 2002) by sacrebleu, 13a tokens, exponential smoothing, 0 to 100.

    In scripts without blanks, words are put apart first.

    A row's sums are its n-gram matches ``[4]``, its n-grams ``[4]`` and the lengths of answer and reference.
    """
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(lowercase=True, effective_order=True)
    sums = np.zeros((len(rows), 2 * _BLEU_ORDER + 2))
    for line, row in zip(sums, rows, strict=True):
        score = scorer.sentence_score(_put_apart(normalise(row.answer)), [_put_apart(normalise(row.reference))])
        line[:] = (*score.counts, *score.totals, score.sys_len, score.ref_len)
    return Scores(sums=sums, figure=_corpus_bleu)


def _put_apart(text: str) -> str:
    """The text with blanks between the words, and the marks, of what is written without."""
    parts = (segments(part) if HAS_NO_BLANKS.search(part) else [part] for part in text.split(" "))
    return " ".join(word for part in parts for word in part)


def _corpus_bleu(sums: Float64) -> Float64:
    """``[..., 10] -> [...]``."""
    from sacrebleu.metrics.bleu import BLEU

    lines = sums.reshape(-1, sums.shape[-1]).astype(int).tolist()
    scores = [
        BLEU.compute_bleu(
            correct=line[:_BLEU_ORDER], total=line[_BLEU_ORDER:-2], sys_len=line[-2], ref_len=line[-1], smooth_method="exp"
        ).score
        for line in lines
    ]
    return np.asarray(scores, np.float64).reshape(sums.shape[:-1])
