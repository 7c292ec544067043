"""Labels that differ in case alone are two answers, which a run tells when it starts."""

from __future__ import annotations

import logging

import pytest
from ofa_trainer import Task, Trainer

LINE = "[TEXT:text] ? -> [TEXT:label,closed_set]"


@pytest.mark.parametrize(
    ("labels", "told"), [(("Cat", "dog", "cat"), True), (("é", "dog", "e\u0301"), False), (("a", "b"), False)]
)
def test_labels_that_differ_in_case_alone_are_told(labels: tuple[str, ...], told: bool, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"text": f"word {number}", "label": labels[number % len(labels)]} for number in range(12)]
    with caplog.at_level(logging.WARNING):
        Trainer(tokenizer_size=300).prepare("nano", [Task("t", LINE, train=rows)])
    assert ("task `t`: `label` holds `Cat` and `cat`: labels that differ in case alone are two answers" in caplog.text) == told
    assert ("differ in case" in caplog.text) == told
