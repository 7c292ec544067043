"""A Session: what it answers, how it finds closed sets, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from ofa_instruction import InstructionError, OFAWarning
from ofa_modalities import SampleError
from ofa_modalities.batch import SegmentColumn
from ofa_modalities.processor import Item
from ofa_modalities.program import RepeatStep, SlotStep, TextStep
from ofa_modalities.segment import EncodedSegment, Example
from ofa_modalities.text.equality import canonical
from ofa_models import CheckpointError, GenerationOptions, Session, save_checkpoint
from ofa_models.generation.lanes import Lanes
from ofa_models.generation.planning import forced_of, plan_steps
from ofa_models.generation.steps import RowAnswer
from ofa_models.session import SessionError


def rows_for(pictures: list[Any]) -> dict[str, list[dict[str, object]]]:
    words = ["a cat", "two dogs", "the red bird", "a mat"]
    pairs = list(zip(pictures, words, strict=True))
    return {
        "caption": [{"img": picture} for picture in pictures],
        "vqa": [{"img": picture, "question": word} for picture, word in pairs],
        "classify": [{"img": picture} for picture in pictures],
        "ground": [{"img": picture, "what": word} for picture, word in pairs],
        "describe": [{"img": picture} for picture in pictures],
        "infill": [{"sentence": f"{word} sat on the mat"} for word in words],
        "tell": [{"name": word} for word in words],
        "prompted": [{"question": word, "hint": word * (1 + number)} for number, word in enumerate(words)],
        "boxed": [{"img": picture, "place": [[1, 2, 20, 30]] * number} for number, picture in enumerate(pictures)],
        "story": [{}, {}],
    }


TASKS = ["caption", "vqa", "classify", "ground", "describe", "infill", "tell", "prompted", "boxed", "story"]


def teacher_forced(session: Session, task: str, example: Example, answer: RowAnswer) -> Example:
    """The row with what was generated as its target, framed by the encoder."""
    resolved = session.resolve(task)
    repeats = itertools.count()

    def walk(steps: Any, path: tuple[int, ...], numbers: dict[int, int]) -> list[EncodedSegment]:
        segments: list[EncodedSegment] = []
        for step in steps:
            if isinstance(step, TextStep):
                segments.append(step.segment)
            elif isinstance(step, SlotStep) and step.slot.no_loss:
                segments.append(forced_of(resolved.program, example)[step.slot.index, path])
            elif isinstance(step, SlotStep):
                units = answer.slots[step.slot.index, path][0].units
                segments.append(step.segment(Item(units=units, shape=(len(units),))))
            elif isinstance(step, RepeatStep):
                number = numbers.setdefault(id(step), next(repeats))
                for item in range(answer.counts[number, path]):
                    segments += [step.opens, *walk(step.body, (*path, item), numbers)]
                segments.append(step.closes)
        return segments

    target = tuple(walk(resolved.program.target, (), {}))
    return Example(
        task=example.task, alternative=example.alternative, address="", source=example.source, target=target,
        num_source_tokens=example.num_source_tokens, num_target_tokens=sum(segment.num_tokens for segment in target),
    )  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
@torch.no_grad()
def test_the_packed_decoder_agrees_with_generation(session: Session, pictures: list[Any], task: str) -> None:
    resolved, options = session.resolve(task), GenerationOptions(max_items=3)
    rng = np.random.default_rng(0)
    examples = [
        resolved.encoder.encode(task, row, split="infer", rng=rng, with_targets=False) for row in rows_for(pictures)[task]
    ]
    steps = plan_steps(resolved.encoder, resolved.program, options)
    answers = session._generate(resolved, examples, steps, options)
    framed = [teacher_forced(session, task, example, answer) for example, answer in zip(examples, answers, strict=True)]
    batch, model = resolved.encoder.pack(framed), session.checkpoint.model
    vocabulary = session.checkpoint.vocabulary
    memory = model.encode(batch)
    labels = batch.token_labels
    hidden = model.decode(batch, memory, labels.positions)
    totals = torch.zeros(len(framed), dtype=torch.float64)
    rows = torch.searchsorted(batch.target.lengths.cumsum(0), labels.positions, right=True)
    end = vocabulary.id("end")
    of_repeat = batch.target.segments[labels.segments, SegmentColumn.SLOT] == -1
    for number, (line, label, node) in enumerate(zip(labels.slots, labels.ids.tolist(), labels.nodes.tolist(), strict=True)):
        rule = resolved.encoder.rule(int(line))
        if of_repeat[number]:
            allowed = [vocabulary.id("next"), end]
        elif node >= 0:
            allowed = [int(rule.tree.token[child]) for child in rule.tree.children(node)]
        else:
            allowed = [index for name in rule.blocks for index in vocabulary.block(name)] + [end] * (rule.length is None)
        if of_repeat[number] and task == "boxed":
            continue  # as many items as boxes are given: nothing is chosen
        log_probs = (hidden[number] @ model.token_weight()[allowed].T).log_softmax(-1)
        best = allowed[int(log_probs.argmax())]
        if label == end and best != end and node < 0:
            continue  # a limit ended it
        assert node >= 0 or best == label
        totals[rows[number]] += log_probs[allowed.index(label)]
    for stream in batch.frame_labels:
        output = model.read_frames(stream.adaptor, model.decode(batch, memory, stream.positions))
        assert torch.allclose(output.frames.float(), stream.frames, atol=1e-5)
        return
    assert torch.allclose(totals, torch.tensor([answer.log_probability for answer in answers], dtype=torch.float64), atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_answers_alone_as_in_a_batch(
    session: Session, instructions: dict[str, str], pictures: list[Any], task: str
) -> None:
    rows = rows_for(pictures)[task]
    generation = GenerationOptions(max_items=3)
    together = session.batch(instructions[task], rows, generation=generation, rngs=lambda number: np.random.default_rng(0))
    for row, output in zip(rows, together, strict=True):
        (alone,) = session.batch(instructions[task], [row], generation=generation, rngs=lambda number: np.random.default_rng(0))
        assert list(alone) == list(output)
        assert repr(alone) == repr(output)
        assert alone.log_probability == pytest.approx(output.log_probability)


def test_answers_have_the_shape_of_their_columns(session: Session, pictures: list[Any], tmp_path: Any) -> None:
    rows = {task: rows[1] for task, rows in rows_for(pictures).items()}
    caption = session("caption", rows["caption"])
    assert isinstance(caption.text, str)
    assert caption["cap"] == caption.text == caption.value
    vqa = session("vqa", rows["vqa"], generation=GenerationOptions(num_return=20))
    assert vqa.label in session.checkpoint.closed_sets["vqa"]["answer"]
    assert len(vqa.candidates) == 7
    assert sum(candidate.probability for candidate in vqa.candidates) == pytest.approx(1, abs=1e-6)
    assert vqa.candidates[0].value == vqa.text == vqa.label
    assert vqa.probability == vqa.candidates[0].probability
    classify = session("classify", rows["classify"], generation=GenerationOptions(num_return=3))
    assert {candidate.value for candidate in classify.candidates} == {"cat", "dog", "bird"}
    ground = session("ground", rows["ground"])
    left, top, right, bottom = ground.box
    assert 0 <= left <= right <= 32
    assert 0 <= top <= bottom <= 48
    assert ground.boxes == [ground.box]
    assert ground.draw().size == (32, 48)
    assert ground.save(tmp_path / "box.png").exists()
    tell = session("tell", rows["tell"])
    assert np.asarray(tell["curve"]).shape[1] == 3
    boxed = session("boxed", rows_for(pictures)["boxed"][3], generation=GenerationOptions(max_items=1))
    assert isinstance(boxed["name"], list)
    assert len(boxed["name"]) == 3
    described = session.batch("describe", rows_for(pictures)["describe"], generation=GenerationOptions(max_items=3))
    for output in described:
        assert isinstance(output["place"], list)
        assert len(output.boxes) == len(output["place"]) == len(output["name"]) <= 3


def test_a_trained_instruction_is_known_however_it_is_spelled(session: Session, instructions: dict[str, str]) -> None:
    spelled = "  [IMAGE:img]   [TEXT:question]->[TEXT:answer,closed_set]"
    assert session.resolve(spelled).task == session.resolve("vqa").task == session.resolve(instructions["vqa"]).task == "vqa"
    assert session.resolve(spelled) is session.resolve(spelled)
    assert session.instructions["vqa"] == (session.resolve("vqa").plan.text,)


def test_a_new_instruction_over_known_modalities_is_answered(session: Session, pictures: list[Any]) -> None:
    output = session(
        "look at [IMAGE:a] and [IMAGE:b] -> [TEXT:difference,max_length=5] at [BOX:at,of=b]", a=pictures[0], b=pictures[1]
    )
    assert isinstance(output["difference"], str)
    assert output.draw().size == (32, 48)


def test_closed_sets_come_from_candidates_then_the_name_then_the_column(session: Session, pictures: list[Any]) -> None:
    def answers(instruction: str, **options: Any) -> set[object]:
        output = session(instruction, {"img": pictures[0]}, generation=GenerationOptions(num_return=20), **options)
        return {candidate.value for candidate in output.candidates}

    known = set(session.checkpoint.closed_sets["vqa"]["answer"])
    assert answers("[IMAGE:img] -> [TEXT:reply,closed_set=answer]") == known
    assert answers("[IMAGE:img] -> [TEXT:answer,closed_set=other]") == known
    assert answers("[IMAGE:img] -> [TEXT:answer,closed_set]", candidates=["up", "down", "up"]) == {"up", "down"}
    assert answers("[IMAGE:img] -> [TEXT:anything]", candidates={"anything": ["up", "down"]}) == {"up", "down"}
    assert answers("caption", candidates=["up", "down"]) == {"up", "down"}
    with pytest.raises(SessionError, match=r"no closed set `colour`.*give `candidates=`"):
        answers("[IMAGE:img] -> [TEXT:x,closed_set=colour]")
    with pytest.raises(SessionError, match="candidates are given for `z`"):
        answers("[IMAGE:img] -> [TEXT:x]", candidates={"z": ["up"]})
    with pytest.raises(SessionError, match="2 answers"):
        answers("[IMAGE:img] -> [TEXT:x] [TEXT:y]", candidates=["up"])
    with pytest.raises(SessionError, match="a TEXT slot with a closed set takes any candidates"):
        answers("classify", candidates=["up", "down"])


def test_two_closed_sets_of_one_name_must_be_told_apart(session: Session, catalog: Any) -> None:
    sets = {**session.checkpoint.closed_sets, "caption": {"answer": ("other", "words")}}
    double = Session(dataclasses.replace(session.checkpoint, closed_sets=sets), catalog=catalog)
    with pytest.raises(SessionError, match=r"the tasks `vqa`, `caption` have different closed sets `answer`; give `candidates=`"):
        double.resolve("[IMAGE:img] -> [TEXT:x,closed_set=answer]")
    assert double.resolve("vqa").task == "vqa"


def test_columns_that_do_not_fit_are_named(session: Session, pictures: list[Any]) -> None:
    with pytest.raises(SessionError, match=r"no column `image`; did you mean `img`\?; the instruction reads \[IMAGE:img\]"):
        session("caption", image=pictures[0])
    with pytest.raises(SessionError, match=r"the column `question` of \[TEXT:question\] is missing"):
        session("vqa", img=pictures[0])
    with pytest.raises(SessionError, match="`cap` is what the instruction answers"):
        session("caption", img=pictures[0], cap="a cat")
    with pytest.raises(SampleError, match="column `img`"):
        session("caption", img=b"no picture")


def test_rows_that_cannot_be_used_are_collected_or_raised(session: Session, pictures: list[Any]) -> None:
    rows = [{"img": pictures[0], "cap": "ignored"}, {"img": b"broken"}, {}, {"img": pictures[1]}]
    addresses = [f"data.csv:0:{number}" for number in range(4)]
    outputs = session.batch("caption", rows, on_error="collect", addresses=addresses)
    assert [isinstance(output, SampleError) for output in outputs] == [False, True, True, False]
    assert "data.csv:0:1:img" in str(outputs[1])
    assert repr(outputs[3]) == repr(session("caption", img=pictures[1]))
    with pytest.raises(SampleError, match=r"data\.csv:0:1:img"):
        session.batch("caption", rows, addresses=addresses)
    assert session.batch("caption", []) == []


def test_batches_keep_to_their_budgets_and_the_order(
    session: Session, pictures: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Session(session.checkpoint, catalog=session.catalog, batch_tokens=40)
    sizes: list[int] = []
    original = Session._generate

    def counted(self: Session, resolved: Any, examples: Any, *rest: Any) -> Any:
        sizes.append(len(examples))
        return original(self, resolved, examples, *rest)

    monkeypatch.setattr(Session, "_generate", counted)
    rows = [{"img": pictures[number % 4]} for number in range(9)]
    outputs = small.batch("caption", rows)
    assert len(sizes) > 1
    assert sum(sizes) == 9
    assert [output.text for output in outputs] == [session("caption", row).text for row in rows]


@pytest.mark.parametrize("task", ["caption", "prompted", "describe"])
def test_batches_keep_to_the_cache_that_they_may_ask_for(
    session: Session, pictures: list[Any], monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr("ofa_models.session._CACHE_TOKENS", 300)
    monkeypatch.setattr("ofa_models.generation.engine.MAX_CAPACITY", 20)
    asked: list[tuple[int, int]] = []

    class Counted(Lanes):
        def __init__(self, backend: Any, memory: Any, *, copies: int, capacity: int) -> None:
            super().__init__(backend, memory, copies=copies, capacity=capacity)
            asked.append((self.num_rows, copies * capacity))

    monkeypatch.setattr("ofa_models.generation.engine.Lanes", Counted)
    rows = {
        "caption": [{"img": picture} for picture in pictures * 2],
        "prompted": [{"question": "a cat", "hint": "a red dog " * number} for number in (1, 8, 8, 8)],
        "describe": [{"img": picture} for picture in pictures * 2],
    }[task]
    session.batch(task, rows, generation=GenerationOptions(strategy="beam", num_beams=4, max_items=200))
    assert sum(num_rows for num_rows, _ in asked) == len(rows)
    assert all(num_rows * each <= 300 or num_rows == 1 for num_rows, each in asked)
    assert len(asked) <= 3 or task == "prompted"


def test_a_long_answer_counts_as_long_as_it_may_be(session: Session, pictures: list[Any]) -> None:
    resolved, options = session.resolve("caption"), GenerationOptions(max_length=50_000)
    rng = np.random.default_rng(0)
    example = resolved.encoder.encode("caption", {"img": pictures[0]}, split="infer", rng=rng, with_targets=False)
    chunks = session._chunks(resolved, [example] * 5, plan_steps(resolved.encoder, resolved.program, options), options)
    assert list(map(len, chunks)) == [2, 2, 1]


def test_answers_are_decoded_once(session: Session, pictures: list[Any]) -> None:
    for output in session.batch("ground", rows_for(pictures)["ground"]):
        assert output.value is output.candidates[0].value
    slots = [slot for output in session.batch("boxed", rows_for(pictures)["boxed"]) for slot in output.slots]
    assert any(slot.value for slot in slots)
    for slot in slots:
        values: Any = slot.value
        for value, candidates in zip(values, slot.candidates, strict=True):
            assert value is candidates[0].value


def test_instructions_without_an_answer_are_errors(session: Session, pictures: list[Any]) -> None:
    with pytest.raises(ValueError, match="asks for no answer"):
        session("[IMAGE:img] -> ", img=pictures[0])
    with pytest.raises(ValueError, match="contrast"):
        session("[IMAGE:img] -> [TEXT:a|TEXT:b]", img=pictures[0])
    with pytest.raises(InstructionError, match="unknown modality"):
        session("[IMGAE:img] -> [TEXT:a]", img=pictures[0])
    with pytest.raises(SessionError, match=r"no task `captoin`; did you mean `caption`\?"):
        session("captoin", img=pictures[0])


def test_what_the_checkpoint_was_not_trained_with_is_named(catalog: Any, session: Session, pictures: list[Any]) -> None:
    from ofa_instruction.specs import ModalitySpec

    wider = catalog.with_specs(ModalitySpec(name="SOUND", processor="text", adaptor="text"))
    with pytest.raises(ValueError, match="SOUND"):
        Session(session.checkpoint, catalog=wider)("[SOUND:s] -> [TEXT:a]", s="x")
    with pytest.raises(SessionError, match="it needs 32 tokens `bin`, the checkpoint has 64"):
        session("[IMAGE:img] -> [BOX:b,bins=32]", img=pictures[0])
    with pytest.raises(SessionError, match="the stream `image_patch` was trained with units of"):
        session("[IMAGE:img,patch=4] -> [TEXT:b]", img=pictures[0])


def test_samples_do_not_depend_on_the_batch_around_them(session: Session, pictures: list[Any]) -> None:
    generation = GenerationOptions(strategy="sample", seed=3, temperature=1.5, num_return=2)
    rows = rows_for(pictures)["vqa"]
    for task in ("caption", "vqa"):
        together = session.batch(task, rows, generation=generation)
        for row, output in zip(rows, together, strict=True):
            assert [c.value for c in session.batch(task, [row], generation=generation)[0].candidates] == [
                c.value for c in output.candidates
            ]
    other = session.batch("caption", rows, generation=generation.model_copy(update={"seed": 4}))
    assert [output.text for output in other] != [output.text for output in session.batch("caption", rows, generation=generation)]


def test_a_saved_checkpoint_answers_the_same(session: Session, catalog: Any, pictures: list[Any], tmp_path: Any) -> None:
    checkpoint = session.checkpoint
    single = checkpoint.model.float()
    try:
        expected = session("vqa", img=pictures[0], question="a cat").label
        save_checkpoint(
            tmp_path / "saved", plan=checkpoint.plan, model=single, vocabulary=checkpoint.vocabulary,
            closed_sets=checkpoint.closed_sets,
        )  # fmt: skip
    finally:
        checkpoint.model.double()
    loaded = Session.from_pretrained(tmp_path / "saved", catalog=catalog)
    assert loaded("vqa", img=pictures[0], question="a cat").label == expected
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        Session.from_pretrained(tmp_path / "nothing")


def test_answers_that_are_one_text_are_one_answer(session: Session, instructions: dict[str, str]) -> None:
    """Tokens with and without a blank before them spell the same word at a start."""
    options = GenerationOptions(strategy="beam", num_beams=200, num_return=200, max_length=1)
    (answer,) = session.batch(instructions["story"], [{}], generation=options)
    texts = [candidate.value for candidate in answer.candidates]
    assert len(set(map(canonical, texts))) == len(texts)
    assert 100 < len(texts) < 200


def test_an_answer_whose_items_met_their_limit_has_not_finished(
    session: Session, instructions: dict[str, str], pictures: list[Any]
) -> None:
    rows = rows_for(pictures)["describe"]
    none, one = (session.batch("describe", rows, generation=GenerationOptions(max_items=most)) for most in (0, 1))
    assert not any(slot.finished for answer in none for slot in answer.slots if slot.depth)
    for answer in one:
        place = next(slot for slot in answer.slots if slot.column == "place")
        assert place.finished == (len(answer["place"]) == 0)


def test_two_tasks_of_one_text_are_told_apart(make_session: Any) -> None:
    text = "[TEXT:question] which? -> [TEXT:answer,closed_set]"

    def of_one_text(**closed: tuple[str, ...]) -> Session:
        made: Session = make_session(dict.fromkeys(closed, text), {name: {"answer": given} for name, given in closed.items()})
        return made

    session = of_one_text(colours=("red", "blue"), sizes=("big", "small"))
    with pytest.raises(SessionError, match=r"tasks `colours`, `sizes`, and their closed sets differ; ask by the name of one"):
        session(text, question="x")
    assert session("colours", question="x").label in ("red", "blue")
    assert session("sizes", question="x").label in ("big", "small")
    assert session(text, question="x", candidates=["big", "small"]).label in ("big", "small")
    same = of_one_text(one=("red", "blue"), two=("red", "blue"))
    assert same(text, question="x").label in ("red", "blue")


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("caption", {"num_beams": 8}, "num_beams=8"),
        ("caption", {"temperature": 0.5}, "temperature=0.5"),
        ("caption", {"top_k": 5, "strategy": "beam"}, "top_k=5"),
        ("caption", {"num_return": 5}, "num_return=5"),
        ("caption", {"seed": 3}, "seed=3"),
        ("caption", {"guidance": 2.0}, "guidance=2.0"),
        ("classify", {"max_length": 9}, "max_length=9"),
        ("vqa", {"min_length": 2}, "min_length=2"),
        ("ground", {"length": 7}, "length=7"),
    ],
)
def test_options_without_an_effect_are_told(
    session: Session, pictures: list[Any], task: str, options: dict[str, Any], told: str
) -> None:
    row = rows_for(pictures)[task][0]
    with pytest.warns(OFAWarning, match=f"`{told}` has no effect: "):
        session(task, row, generation=GenerationOptions(**options))


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("caption", {"strategy": "sample", "temperature": 0.5, "top_k": 5, "num_return": 2, "seed": 1, "max_length": 3}),
        ("caption", {"strategy": "beam", "num_beams": 8, "length_penalty": 0.5, "min_length": 2}),
        ("vqa", {"num_return": 3, "max_items": 9}),
        ("tell", {"max_length": 3}),
    ],
)
def test_options_with_an_effect_are_not(session: Session, pictures: list[Any], task: str, options: dict[str, Any]) -> None:
    session(task, rows_for(pictures)[task][0], generation=GenerationOptions(**options))


def test_arguments_that_were_meant_otherwise_are_errors(session: Session, pictures: list[Any]) -> None:
    with pytest.raises(SessionError, match=r"generation=GenerationOptions\(num_beams=…\)"):
        session("caption", img=pictures[0], num_beams=4)
    with pytest.raises(SessionError, match=r"`generation` is GenerationOptions"):
        session("caption", img=pictures[0], generation="beam")
    with pytest.raises(SessionError, match="`img` is given twice"):
        session("caption", {"img": pictures[0]}, img=pictures[1])
    with pytest.raises(SessionError, match="candidates are given for `kind`"):
        session("classify", img=pictures[0], candidates={"kind": ["cat"]})
    with pytest.raises(ValueError, match="BOX takes no closed set"):
        session("ground", rows_for(pictures)["ground"][0], candidates=["a", "b"])
    with pytest.raises(ValueError, match="min_length=9 is more than max_length=3"):
        GenerationOptions(min_length=9, max_length=3)
