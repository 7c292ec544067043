"""Every choice of the demo, named, and made on the valid split.

About a hundred rows and 5,000 tokens a step, most rows with a picture, scenes composed anew in every epoch, Muon on the matrices
of the blocks. Losses are weighed by task, because by rows long texts drown short answers about pictures. Scenes are seen as
36 patches rather than 64, so that more of them fit into the time. A drawing is convolved to four tokens, and the encoder is asked
for its words directly: without that, names were not learnt beside the other tasks. Descriptions are cut to 32 tokens, and many
sentences are filled in, because both leave room to learn copying, which summaries need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ofa_instruction import CriterionChoice
from ofa_instruction.plans import Plan
from ofa_models.plans import GenerationOptions

from ofa_trainer.plans import NamedOptions, TrainerOptions

MODEL_SIZE = "tiny"
MODEL_OVERRIDES: dict[str, Any] = {}
SEED = 0

TRAINING_MINUTES = 5.2
"""Of training proper; preparing, judging and drawing take the rest of six minutes."""
BATCH_TOKENS = 5000
TOKENIZER_SIZE = 3500
MUON_LR = 0.02
ADAMW_LR = 4e-3
WARMUP_STEPS = 40
DECAY_SHARE = 0.5
SUMMARY_TOKENS = 32
"""Descriptions are cut to so many."""
DRAWING = "patch=16,max_patches=4,adaptor=image_conv"
"""A drawing, and any picture that is asked about later, is seen at 32 px, as four patches."""
SCENE_PATCHES = 36
"""A scene of 64 px is shrunk to 6 by 6 patches of 8 px."""
MASK_RATIO = 0.2
COVER_WEIGHT = 2.0
"""Of the dense term beside the bins of a box."""
SIGMA_BINS = 1.5

WORDS_WEIGHT = 1.0
"""Of the dense term beside what is read off drawings and clips and heard in speech."""

TOKEN_WORDS: Sequence[CriterionChoice] = ("cross_entropy", ("source_words", {"weight": WORDS_WEIGHT}))
"""Losses of an answer whose words the encoder is asked for as well."""

PLAIN_ANSWERS = (
    *("yes", "no"),
    *("one", "two", "three", "four"),
    *("top left", "top right", "bottom left", "bottom right"),
)
"""What a question about a scene is answered with beside the names and the categories of things."""

EVALUATED_ROWS = 1000
"""Of each task; the pack holds fewer held-out drawings."""
SHOWN_ROWS = 10
BASELINE_ROWS = 1000
"""Training rows that a baseline looks at."""
FIT_ROWS = 2000
"""Training rows of each task that the tokenizer is trained on; scenes have to be composed for it."""
LEAD_WORDS = 10
GENERATION = GenerationOptions(strategy="beam")
"""Four beams: summaries gain two to three points of ROUGE-L over greedy answers and infilling one; captions lose one."""


class DemoTask(Plan):
    """One task of a demo: what it is called, the line that states it, and its part of the rows of a step."""

    name: str
    title: str
    instruction: str
    target: str
    """The column that is answered."""
    metrics: tuple[NamedOptions, ...]
    """The first decides whether the task has been learnt."""
    rows_per_step: float
    loss_weight: float
    """λ relative to the other tasks: long targets would else drown the short ones of pictures."""
    generation: GenerationOptions = GENERATION
    criteria: Mapping[str, Sequence[CriterionChoice]] = {}
    """By target column, losses with other options than the modality's own."""


DEMO_TASKS: tuple[DemoTask, ...] = (
    DemoTask(
        name="classify",
        title="Image classification",
        instruction=f"[IMAGE:img,{DRAWING}] which category does the image show? -> [TEXT:label,closed_set]",
        target="label",
        metrics=("accuracy",),
        rows_per_step=20,
        loss_weight=2.0,
        criteria={"label": TOKEN_WORDS},
    ),
    DemoTask(
        name="caption",
        title="Image captioning",
        instruction=f"[IMAGE:img,{DRAWING}] what does the image describe? -> [TEXT:cap]",
        target="cap",
        metrics=("token_f1", "exact_match"),
        rows_per_step=110,
        loss_weight=4.0,
        criteria={"cap": TOKEN_WORDS},
    ),
    DemoTask(
        name="vqa",
        title="Visual question answering",
        instruction=f"[IMAGE:img,max_patches={SCENE_PATCHES}] [TEXT:question] -> [TEXT:answer,closed_set]",
        target="answer",
        metrics=("accuracy",),
        rows_per_step=34,
        loss_weight=2.5,
    ),
    DemoTask(
        name="ground",
        title="Visual grounding",
        instruction=(
            f'[IMAGE:img,max_patches={SCENE_PATCHES}] which region does the text " [TEXT:cap] " describe? -> [BOX:region]'
        ),
        target="region",
        metrics=("iou_acc", "iou"),
        rows_per_step=38,
        loss_weight=2.0,
        criteria={"region": (("soft_bins", {"sigma_bins": SIGMA_BINS}), ("patch_cover", {"weight": COVER_WEIGHT}))},
    ),
    DemoTask(
        name="summary",
        title="Summarisation",
        instruction=(
            f'what is the summary of article " [TEXT:src,uncased,max_length={SUMMARY_TOKENS}] "? -> '
            "[TEXT:tgt,uncased,max_length=24]"
        ),
        target="tgt",
        metrics=("rouge_l",),
        rows_per_step=24,
        loss_weight=2.0,
    ),
    DemoTask(
        name="infill",
        title="Text infilling",
        instruction=(
            f'what is the complete text of " [TEXT:sentence,mask_ratio={MASK_RATIO},uncased] "? -> '
            "[TEXT:sentence,uncased,max_length=64]"
        ),
        target="sentence",
        metrics=("masked_word_accuracy",),
        rows_per_step=40,
        loss_weight=2.0,
    ),
)


def trainer_options(*, minutes: float | None, steps: int | None, seed: int) -> TrainerOptions:
    """How the demo trains. ``steps``: so many; else as many as fit into ``minutes``."""
    return TrainerOptions(
        steps=steps,
        minutes=None if steps is not None else minutes,
        batch_tokens=BATCH_TOKENS,
        optimizer="muon",
        muon_lr=MUON_LR,
        adamw_lr=ADAMW_LR,
        warmup_steps=WARMUP_STEPS,
        decay_share=DECAY_SHARE,
        tokenizer_size=TOKENIZER_SIZE,
        fit_rows=FIT_ROWS,
        seed=seed,
        valid_metrics=False,
    )
