"""Metrics of texts and labels.

# R rows, S sums a row contributes
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa_trainer.metrics.metric import Float64, Judged, Scores, mean_scores, ratio

if TYPE_CHECKING:
    from ofa_trainer.metrics.specs import NoOptions, RougeOptions

_WORD = re.compile(r"\w+")
_BLEU_ORDER = 4


def normalise(value: object) -> str:
    """Lower case, single blanks, no blanks at the edges; None is empty."""
    return " ".join(str(value).casefold().split()) if value is not None else ""


def words(value: object) -> list[str]:
    """Runs of letters, digits and underscores, in lower case."""
    return _WORD.findall(normalise(value))


def exact_match(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """1 where answer and reference are equal after :func:`normalise`. Also ``accuracy``, of closed sets."""
    return mean_scores([float(normalise(row.answer) == normalise(row.reference)) for row in rows])


def token_f1(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Word F1 of Rajpurkar et al. 2016 (arXiv 1606.05250), without dropping articles; two texts without words agree."""
    return mean_scores([_f1(words(row.answer), words(row.reference)) for row in rows])


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    shared = (Counter(answer) & Counter(reference)).total()
    return 2 * shared / (len(answer) + len(reference))


def rouge_l(rows: Sequence[Judged], options: RougeOptions) -> Scores:
    """ROUGE F1 (Lin 2004) as the rouge-score package computes it."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([options.variant], use_stemmer=options.stem)
    scores: list[Any] = [scorer.score(normalise(row.reference), normalise(row.answer)) for row in rows]
    return mean_scores([float(score[options.variant].fmeasure) for score in scores])


def wer(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Word error rate by jiwer: (substitutions + deletions + insertions) / reference words, over the corpus."""
    from jiwer import process_words

    errors, lengths = [], []
    for row in rows:
        reference, answer = normalise(row.reference), normalise(row.answer)
        if reference:
            counts = process_words(reference, answer)
            errors.append(counts.substitutions + counts.deletions + counts.insertions)
        else:
            errors.append(len(answer.split()))
        lengths.append(len(reference.split()))
    return Scores(sums=np.stack([np.asarray(errors, np.float64), np.asarray(lengths, np.float64)], axis=-1), figure=ratio)


def bleu(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Corpus BLEU (Papineni et al. 2002) by sacrebleu, 13a tokens, exponential smoothing, 0 to 100.

    A row's sums are its n-gram matches ``[4]``, its n-grams ``[4]`` and the lengths of answer and reference.
    """
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(lowercase=True, effective_order=True)
    sums = np.zeros((len(rows), 2 * _BLEU_ORDER + 2))
    for line, row in zip(sums, rows, strict=True):
        score = scorer.sentence_score(normalise(row.answer), [normalise(row.reference)])
        line[:] = (*score.counts, *score.totals, score.sys_len, score.ref_len)
    return Scores(sums=sums, figure=_corpus_bleu)


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
