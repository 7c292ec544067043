"""The demo over all nine modalities, in and out: fifteen tasks, one model.

The six tasks of the small demo keep their lines, but classification answers with a CATEGORY. Sound is 8 kHz in 40 mel bands;
an answered sound makes four frames a step, so that two seconds are 40 steps.
"""

from __future__ import annotations

from typing import Any

from ofa_models.plans import GenerationOptions

from ofa_trainer.demo import recipe
from ofa_trainer.demo.recipe import DEMO_TASKS, TOKEN_WORDS, DemoTask
from ofa_trainer.plans import TrainerOptions

MODEL_SIZE = "tiny"
MODEL_OVERRIDES: dict[str, Any] = {}
TRAINING_MINUTES = 16.0
"""Of training proper; fitting the code book and the motions, judging and drawing come on top."""
BATCH_TOKENS = 6500
TOKENIZER_SIZE = 3500
FIT_ROWS = 1000
SOUND = "sample_rate=8000,num_mels=40"
CLIP_PATCHES = 128
TABLE_TOKENS = 160

EVALUATED_ROWS = 300
"""Of each task; the pack holds fewer held-out sounds, clips and motions."""

_ROWS = {"classify": 16, "caption": 40, "vqa": 24, "ground": 28, "summary": 14, "infill": 22}
"""Rows of a step of the six tasks, fewer than where they are alone."""


def _six() -> tuple[DemoTask, ...]:
    changes: dict[str, dict[str, Any]] = {name: {"rows_per_step": count} for name, count in _ROWS.items()}
    line = next(task.instruction for task in DEMO_TASKS if task.name == "classify")
    changes["classify"]["instruction"] = line.replace("[TEXT:label,closed_set]", "[CATEGORY:label]")
    return tuple(task.model_copy(update=changes[task.name]) for task in DEMO_TASKS)


ALL_TASKS: tuple[DemoTask, ...] = (
    *_six(),
    DemoTask(
        name="speech",
        title="Speech recognition",
        instruction=f"[AUDIO:audio,{SOUND}] what is the text corresponding to the voice? -> [TEXT:text,uncased,max_length=24]",
        target="text",
        metrics=("wer",),
        rows_per_step=20,
        loss_weight=2.5,
        criteria={"text": TOKEN_WORDS},
    ),
    DemoTask(
        name="speak",
        title="Text to speech",
        instruction=f'what is the voice of " [PHONE:text] "? -> [AUDIO:audio,{SOUND}]',
        target="audio",
        metrics=("mel_cepstral_distortion",),
        rows_per_step=8,
        loss_weight=2.0,
    ),
    DemoTask(
        name="phones",
        title="Letters to phones",
        instruction='what are the phones of " [TEXT:word,uncased] "? -> [PHONE:phones]',
        target="phones",
        metrics=("wer",),
        rows_per_step=30,
        loss_weight=1.5,
    ),
    DemoTask(
        name="motion_caption",
        title="Motion captioning",
        instruction="[MOTION:motion] what does the person do? -> [TEXT:cap]",
        target="cap",
        metrics=("token_f1", "exact_match"),
        rows_per_step=8,
        loss_weight=1.5,
    ),
    DemoTask(
        name="move",
        title="Text to motion",
        instruction='what is the motion of " [TEXT:cap] "? -> [MOTION:motion]',
        target="motion",
        metrics=("joint_error",),
        rows_per_step=8,
        loss_weight=2.0,
    ),
    DemoTask(
        name="clip",
        title="Video classification",
        instruction=f"[VIDEO:video,max_patches={CLIP_PATCHES}] what happens? -> [CATEGORY:label]",
        target="label",
        metrics=("accuracy",),
        rows_per_step=8,
        loss_weight=1.5,
        criteria={"label": TOKEN_WORDS},
    ),
    DemoTask(
        name="table_qa",
        title="Questions about tables",
        instruction=(
            f"[STRUCT:table,uncased,max_length={TABLE_TOKENS}] [TEXT:question,uncased] -> [TEXT:answer,uncased,max_length=16]"
        ),
        target="answer",
        metrics=("exact_match",),
        rows_per_step=10,
        loss_weight=2.0,
    ),
    DemoTask(
        name="sql",
        title="Questions to SQL",
        instruction=(
            f'[STRUCT:table,max_length={TABLE_TOKENS}] what is the query of " [TEXT:question] "? -> '
            "[STRUCT:sql,as=sql,max_length=64]"
        ),
        target="sql",
        metrics=({"execution_accuracy": {"database": "table"}}, "exact_match"),
        rows_per_step=6,
        loss_weight=1.5,
    ),
    DemoTask(
        name="draw",
        title="Text to picture",
        instruction='what is the picture of " [TEXT:cap] in the style of [TEXT:style] "? -> [IMAGE:img,size=32]',
        target="img",
        metrics=("psnr",),
        generation=GenerationOptions(strategy="sample", temperature=0.7),
        rows_per_step=6,
        loss_weight=1.0,
    ),
)


def trainer_options(*, minutes: float | None, steps: int | None, seed: int) -> TrainerOptions:
    """As the small demo trains, with its own budgets."""
    return recipe.trainer_options(minutes=minutes, steps=steps, seed=seed).model_copy(
        update={"batch_tokens": BATCH_TOKENS, "tokenizer_size": TOKENIZER_SIZE, "fit_rows": FIT_ROWS}
    )
