"""Specs of the built-in metrics: pydantic only.

Defaults by modality: an open TEXT answer is judged by ``token_f1``, a BOX by ``iou_acc`` (those of a repeat by ``box_f1``), a
CATEGORY and any slot with a closed set by ``accuracy``, PHONE by ``wer``, pictures and clips by ``psnr``, sound and motion by
what they are named for.
"""

from __future__ import annotations

from typing import Literal

from ofa_instruction.plans import SlotPlan
from ofa_instruction.specs import MetricSpec, Options
from pydantic import Field


class NoOptions(Options):
    """Nothing to choose."""


class IouAccuracyOptions(Options):
    """When a box counts as found."""

    threshold: float = Field(default=0.5, gt=0, le=1)
    """Least intersection over union."""


class CepstralOptions(Options):
    """How much of a spectrum's shape is compared."""

    coefficients: int = Field(default=13, ge=1, le=80)
    """Cepstral coefficients, without the zeroth."""


class RougeOptions(Options):
    """Which ROUGE."""

    variant: Literal["rouge1", "rouge2", "rougeL"] = "rougeL"
    stem: bool = False
    """Porter stems instead of words, as the original ROUGE does with ``-m``."""


class ExecutionOptions(Options):
    """Where queries are run."""

    database: str = "database"
    """Column of the row that holds its database: a path, bytes, SQL text that creates it, or a table."""
    max_seconds: float = Field(default=5.0, gt=0)
    """Longest time of one query; one that takes longer is wrong."""
    max_rows: int = Field(default=10_000, ge=1)
    """Most rows of an answer; one that has more is wrong."""


class ExecutionSpec(MetricSpec):
    """A metric that runs queries in the row's own database."""

    def reads(self, options: Options) -> tuple[str, ...]:
        """The column of the database."""
        assert isinstance(options, ExecutionOptions)
        return (options.database,)


TOKEN_F1 = MetricSpec(
    name="token_f1",
    summary="Harmonic mean of word precision and word recall, as in SQuAD.",
    modalities=("TEXT",),
    options=NoOptions,
    implementation="ofa_trainer.metrics.text:token_f1",
)
ROUGE_L = MetricSpec(
    name="rouge_l",
    summary="ROUGE F1 over the longest common subsequence of words.",
    modalities=("TEXT",),
    options=RougeOptions,
    implementation="ofa_trainer.metrics.text:rouge_l",
)
EXACT_MATCH = MetricSpec(
    name="exact_match",
    summary="Share of answers equal to the reference, case and blanks aside.",
    lists="whole",
    modalities=("TEXT", "CATEGORY", "PHONE", "STRUCT"),
    options=NoOptions,
    implementation="ofa_trainer.metrics.text:exact_match",
)
ACCURACY = MetricSpec(
    name="accuracy",
    summary="Share of right answers of a closed set.",
    lists="whole",
    modalities=("CATEGORY", "TEXT"),
    options=NoOptions,
    implementation="ofa_trainer.metrics.text:exact_match",
)
BLEU = MetricSpec(
    name="bleu",
    summary="Corpus BLEU of sacrebleu, 0 to 100.",
    modalities=("TEXT",),
    scale=100,
    options=NoOptions,
    implementation="ofa_trainer.metrics.text:bleu",
)
WER = MetricSpec(
    name="wer",
    summary="Word error rate of the corpus: edits over reference words (of PHONE: over phones).",
    modalities=("TEXT", "PHONE"),
    higher_is_better=False,
    options=NoOptions,
    implementation="ofa_trainer.metrics.text:wer",
)
MASKED_WORD_ACCURACY = MetricSpec(
    name="masked_word_accuracy",
    summary="Share of the masked words of a text that the answer restores.",
    lists="refused",
    needs_shown=True,
    modalities=("TEXT",),
    options=NoOptions,
    implementation="ofa_trainer.metrics.infilling:masked_word_accuracy",
)
IOU_ACC = MetricSpec(
    name="iou_acc",
    summary="Share of boxes whose intersection over union with the reference is at least a threshold.",
    modalities=("BOX",),
    lists="whole",
    options=IouAccuracyOptions,
    implementation="ofa_trainer.metrics.boxes:iou_acc",
)
BOX_F1 = MetricSpec(
    name="box_f1",
    summary="F1 of boxes: matched one to one, right where the intersection over union is at least a threshold.",
    modalities=("BOX",),
    lists="whole",
    options=IouAccuracyOptions,
    implementation="ofa_trainer.metrics.boxes:box_f1",
)
IOU = MetricSpec(
    name="iou",
    summary="Mean intersection over union with the reference box.",
    modalities=("BOX",),
    lists="whole",
    options=NoOptions,
    implementation="ofa_trainer.metrics.boxes:mean_iou",
)

PSNR = MetricSpec(
    name="psnr",
    summary="Peak signal-to-noise ratio in dB of a picture or a clip.",
    modalities=("IMAGE", "VIDEO"),
    lists="refused",
    scale=20,
    options=NoOptions,
    implementation="ofa_trainer.metrics.media:psnr",
)
MEL_CEPSTRAL_DISTORTION = MetricSpec(
    name="mel_cepstral_distortion",
    summary="Distance in dB between the spectra of speech, aligned in time.",
    modalities=("AUDIO",),
    lists="refused",
    higher_is_better=False,
    scale=10,
    options=CepstralOptions,
    implementation="ofa_trainer.metrics.media:mel_cepstral_distortion",
)
JOINT_ERROR = MetricSpec(
    name="joint_error",
    summary="Mean distance of the joints of a motion from where they should be, over the size of the skeleton.",
    modalities=("MOTION",),
    lists="refused",
    higher_is_better=False,
    options=NoOptions,
    implementation="ofa_trainer.metrics.media:joint_error",
)
EXECUTION_ACCURACY = ExecutionSpec(
    name="execution_accuracy",
    summary="Share of queries that give the rows of the reference query, run in the row's database.",
    modalities=("STRUCT", "TEXT"),
    lists="refused",
    options=ExecutionOptions,
    implementation="ofa_trainer.metrics.struct:execution_accuracy",
)
TABLE_MATCH = MetricSpec(
    name="table_match",
    summary="Share of tables equal to the reference, cell by cell.",
    modalities=("STRUCT",),
    options=NoOptions,
    implementation="ofa_trainer.metrics.struct:table_match",
)

METRICS = (
    TOKEN_F1,
    ROUGE_L,
    EXACT_MATCH,
    ACCURACY,
    BLEU,
    WER,
    MASKED_WORD_ACCURACY,
    IOU_ACC,
    IOU,
    BOX_F1,
    PSNR,
    MEL_CEPSTRAL_DISTORTION,
    JOINT_ERROR,
    EXECUTION_ACCURACY,
    TABLE_MATCH,
)


def default_metrics(slot: SlotPlan, *, repeated: bool = False) -> tuple[str, ...]:
    """Names of the built-in metrics that judge a target slot unless the task names others; empty: none is known.

    repeated: the slot stands in a repeat and is answered by a list.
    """
    known = _usual_metrics(slot, repeated=repeated)
    return tuple(metric.name for metric in known if not (repeated and metric.lists == "refused"))


def _usual_metrics(slot: SlotPlan, *, repeated: bool) -> tuple[MetricSpec, ...]:
    if slot.closed_set is not None:
        return (ACCURACY,)
    match slot.modality:
        case "TEXT":
            return (TOKEN_F1, ROUGE_L)
        case "BOX":
            return (BOX_F1, IOU) if repeated else (IOU_ACC, IOU)
        case "CATEGORY":
            return (ACCURACY,)
        case "PHONE":
            return (WER,)
        case "IMAGE" | "VIDEO":
            return (PSNR,)
        case "AUDIO":
            return (MEL_CEPSTRAL_DISTORTION,)
        case "MOTION":
            return (JOINT_ERROR,)
        case "STRUCT":
            return (EXACT_MATCH if slot.processor.options.get("form") == "sql" else TABLE_MATCH,)
        case _:
            return ()
