"""Names of OFASys, so that its instructions keep working and an error can say what one of them was.

Only names are here. Where the thing exists it is a plugin, found by its name or alias; where it does not, compiling says
that the name is known and not provided.
"""

from __future__ import annotations

INERT_ATTRIBUTES = {
    "is_label": "OFASys documents it and never reads it",
    "add_bos": "begin and end of a segment are the model's own",
    "add_eos": "begin and end of a segment are the model's own",
    "disable_auto_boseos": "begin and end of a segment are the model's own",
}
"""Attributes without effect, with the reason. One that a plugin declares is that plugin's."""

ATTRIBUTES = frozenset(
    [
        "uncased",
        "no_punctuation",
        "max_length",
        "noise_ratio",
        "mask_ratio",
        "no_loss",
        "closed_set",
        "length",
        "n_frames_per_step",
        "use_mask",
        "min_length",
        "sample_rate",
        "soft_trim",
        "window",
        "anchor_frame",
    ]
)

PLUGINS = {
    "ofa.processors": frozenset(
        [
            "text",
            "text_phone",
            "category",
            "table",
            "database",
            "image",
            "imagenet",
            "imagepretrain",
            "image_vqgan",
            "box",
            "audio",
            "audio_embed",
            "phone",
            "video",
            "motion_6d",
        ]
    ),
    "ofa.adaptors": frozenset(
        [
            "text",
            "image_resnet",
            "image_patch_embed",
            "image_vit",
            "image_vqgan",
            "audio_fbank",
            "audio_tgt_fbank",
            "video_image_sequence",
            "motion_6d",
        ]
    ),
    "ofa.criteria": frozenset(
        [
            "cross_entropy",
            "label_smoothed_cross_entropy",
            "scst_reward_criterion",
            "speech_to_text_loss",
            "ofa_tacotron2",
            "speech_pretrain_loss",
            "diffusion_criterion",
        ]
    ),
}
