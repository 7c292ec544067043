"""Compiling: what a slot's plan says, and every mistake with its caret."""

from typing import Any

import pytest
from ofa_instruction import (
    Attribute,
    BackendSpec,
    Catalog,
    ContrastPlan,
    CriterionSpec,
    DiffusionGeneration,
    ErrorCode,
    FrameGeneration,
    Instruction,
    InstructionError,
    InstructionPlan,
    ModalitySpec,
    OFAWarning,
    Options,
    PluginChoice,
    ProcessorSpec,
    RepeatPlan,
    Slot,
    SlotPlan,
    TextPlan,
    TokenGeneration,
    compile,
    parse,
    parse_template,
)


def plan_of(text: str, catalog: Catalog, profile: BackendSpec) -> InstructionPlan:
    (plan,) = compile(text, catalog, profile).instructions
    return plan


def test_a_caption(catalog: Catalog, profile: BackendSpec) -> None:
    task = compile("[IMAGE:img] what does the image describe? -> [TEXT:cap]", catalog, profile, name="caption")
    assert (task.name, task.backend, task.segment_layout, task.closed_sets) == ("caption", "generalist", "per_slot", ())
    image, words = task.instructions[0].source
    (caption,) = task.instructions[0].target
    assert words == TextPlan(text="what does the image describe?", side="source")
    assert isinstance(image, SlotPlan)
    assert (image.column, image.side, image.generator, image.criteria) == ("img", "source", None, ())
    assert isinstance(caption, SlotPlan)
    assert caption.index == 1
    assert caption.generator == TokenGeneration(max_length=256)
    assert caption.criteria == (
        PluginChoice(name="cross_entropy", distribution="test-plugins", options={"label_smoothing": 0.0, "weight": 1.0}),
    )
    assert caption.processor.options["max_length"] == 512


def test_the_profile_decides_adaptor_and_layout(catalog: Catalog, ofa_profile: BackendSpec) -> None:
    task = compile("[IMAGE:a] [IMAGE:b,adaptor=image_patches] -> [TEXT:c]", catalog, ofa_profile)
    assert task.segment_layout == "ofa_groups"
    assert [slot.adaptor.name for slot in task.instructions[0].slots] == ["image_resnet", "image_patches", "text"]


def test_attributes_reach_every_part_that_declares_them(catalog: Catalog, profile: BackendSpec) -> None:
    text = "[TEXT:q,max_length=9,uncased] -> [TEXT:a,max_length=7,dropout=0.5,label_smoothing=.1,strip_punctuation=true]"
    question, answer = plan_of(text, catalog, profile).slots
    assert (question.processor.options["max_length"], question.processor.options["uncased"]) == (9, True)
    assert (answer.processor.options["max_length"], answer.generator) == (7, TokenGeneration(max_length=7))
    assert answer.processor.options["no_punctuation"] is True
    assert answer.adaptor.options == {"dropout": 0.5}
    assert answer.criteria[0].options == {"label_smoothing": 0.1, "weight": 1.0}


def test_generators_of_frames_and_diffusion(catalog: Catalog, profile: BackendSpec) -> None:
    _, frames = plan_of("[TEXT:t] -> [SERIES:s,max_frames=8,stop_threshold=0.4]", catalog, profile).slots
    assert frames.generator == FrameGeneration(max_frames=8, stop_threshold=0.4)
    _, motion = plan_of("[TEXT:t] -> [MOTION:m,num_steps=5]", catalog, profile).slots
    assert motion.generator == DiffusionGeneration(num_steps=5)
    _, diffused = plan_of("[TEXT:t] -> [SERIES:s,generator=diffusion]", catalog, profile).slots
    assert diffused.generator == DiffusionGeneration()


def test_a_prompt_on_the_target_side_has_neither_loss_nor_generator(catalog: Catalog, profile: BackendSpec) -> None:
    _, prompt, answer = plan_of("[TEXT:q] -> [TEXT:q,no_loss] so [TEXT:a]", catalog, profile).slots
    assert (prompt.no_loss, prompt.criteria, prompt.generator) == (True, (), None)
    assert not answer.no_loss
    assert not plan_of("-> [TEXT:a,no_loss=false]", catalog, profile).slots[0].no_loss


@pytest.mark.parametrize(
    ("slot", "closed_set"),
    [
        ("[TEXT:a]", None),
        ("[TEXT:a,closed_set]", "a"),
        ("[TEXT:a,closed_set=colours]", "colours"),
        ("[CATEGORY:c]", "c"),
        ("[CATEGORY:c,closed_set=colours]", "colours"),
    ],
)
def test_closed_sets(slot: str, closed_set: str | None, catalog: Catalog, profile: BackendSpec) -> None:
    assert plan_of(f"-> {slot}", catalog, profile).slots[0].closed_set == closed_set


def test_a_category_that_is_read_is_closed_as_well(catalog: Catalog, profile: BackendSpec) -> None:
    assert plan_of("[CATEGORY:c] -> [TEXT:a]", catalog, profile).slots[0].closed_set == "c"


def test_repeats_contrasts_and_empty_sides(catalog: Catalog, profile: BackendSpec) -> None:
    plan = plan_of("[IMAGE:i|TEXT:t] ([TEXT:a] and ([TEXT:b])*)* ->", catalog, profile)
    contrast, repeat = plan.source
    assert isinstance(contrast, ContrastPlan)
    assert [member.column for member in contrast.members] == ["i", "t"]
    assert isinstance(repeat, RepeatPlan)
    assert [type(node) for node in repeat.body] == [SlotPlan, TextPlan, RepeatPlan]
    assert plan.target == ()
    assert [slot.index for slot in plan.slots] == [0, 1, 2, 3]
    aligned = plan_of("-> [IMAGE:i|TEXT:t]", catalog, profile).slots
    assert all(slot.generator is None and not slot.criteria for slot in aligned)


@pytest.mark.parametrize(
    ("text", "index", "refers_to"),
    [
        ("[IMAGE:i] -> [BOX:b]", 1, 0),
        ("[BOX:b] [IMAGE:i] -> [TEXT:t]", 0, 1),
        ("[BOX:b] [TEXT:t] -> [IMAGE:i,preprocess=image_vqgan,adaptor=image_vqgan]", 0, 2),
        ("[IMAGE:i] [IMAGE:j] -> [BOX:b]", 2, 1),
        ("[IMAGE:i] [IMAGE:j] -> [BOX:b,of=i]", 2, 0),
        ("[BOX:b,of=j] [IMAGE:i] [IMAGE:j] -> [TEXT:t]", 0, 2),
        ("[IMAGE:i] -> ([BOX:b] [TEXT:t])*", 1, 0),
        ("[IMAGE:i] ([BOX:b] [IMAGE:j])* -> [TEXT:t]", 1, 0),
        ("([IMAGE:j] [BOX:b])* -> [TEXT:t]", 1, 0),
        ("[IMAGE:i] ([IMAGE:j])* -> [BOX:b]", 2, 0),
        ("([IMAGE:i] ([BOX:b])*)* -> [TEXT:t]", 1, 0),
        ("[IMAGE:i|TEXT:t] -> [BOX:b]", 2, 0),
        ("[BOX:b] [IMAGE:i] [IMAGE:i] -> [TEXT:t]", 0, 1),
    ],
)
def test_which_image_a_box_belongs_to(text: str, index: int, refers_to: int, catalog: Catalog, profile: BackendSpec) -> None:
    assert plan_of(text, catalog, profile).slots[index].refers_to == refers_to


def test_criteria_are_replaced_by_column(catalog: Catalog, profile: BackendSpec) -> None:
    chosen = PluginChoice(name="regression", distribution="test-plugins")
    overrides: dict[str, Any] = {"a": ["regression", ("ce", {"weight": 0.5, "label_smoothing": 0.2}), chosen]}
    task = compile("[TEXT:q] -> [TEXT:a,label_smoothing=0.1]", catalog, profile, criteria=overrides)
    criteria = task.instructions[0].slots[1].criteria
    assert [choice.name for choice in criteria] == ["regression", "cross_entropy", "regression"]
    assert criteria[1].options == {"weight": 0.5, "label_smoothing": 0.1}
    (named,) = plan_of("-> [SERIES:s,criterion=regression]", catalog, profile).slots[0].criteria
    assert named.name == "regression"
    with pytest.raises(InstructionError, match="column `q`, which is not an answer"):
        compile("[TEXT:q] -> [TEXT:a]", catalog, profile, criteria={"q": ["ce"]})
    with pytest.raises(InstructionError, match="criterion `cross_entropy`: weight: should be greater than or equal to 0"):
        compile("-> [TEXT:a]", catalog, profile, criteria={"a": [("ce", {"weight": -1})]})
    with pytest.raises(InstructionError, match="criterion `nothing`, which is not installed"):
        compile("-> [TEXT:a]", catalog, profile, criteria={"a": ["nothing"]})


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([{"ce": {"weight": 0.5}}], {"weight": 0.5, "label_smoothing": 0.0}),
        ({"ce": {"weight": 0.5}}, {"weight": 0.5, "label_smoothing": 0.0}),
        ([{"ce": {}}], {"weight": 1.0, "label_smoothing": 0.0}),
        ([{"ce": None}], {"weight": 1.0, "label_smoothing": 0.0}),
        ("ce", {"weight": 1.0, "label_smoothing": 0.0}),
        (PluginChoice(name="ce", distribution="", options={"weight": 0.5}), {"weight": 0.5, "label_smoothing": 0.0}),
    ],
)
def test_a_criterion_is_a_name_or_a_name_with_options(
    given: Any, options: dict[str, object], catalog: Catalog, profile: BackendSpec
) -> None:
    (choice,) = compile("-> [TEXT:a]", catalog, profile, criteria={"a": given}).instructions[0].slots[0].criteria
    assert (choice.name, choice.options) == ("cross_entropy", options)


@pytest.mark.parametrize(
    "given",
    [[3], 3, [{}], [{"ce": {}, "regression": {}}], [{"ce": 0.5}], [("ce",)], [(3, {})], ("ce", {"weight": 0.5})],
)
def test_anything_else_names_the_column(given: Any, catalog: Catalog, profile: BackendSpec) -> None:
    with pytest.raises(InstructionError, match=r"criteria of column `a`: a loss is a name or \{name: options\}, not "):
        compile("-> [TEXT:a]", catalog, profile, criteria={"a": given})


def test_inference_needs_no_criteria(catalog: Catalog, profile: BackendSpec) -> None:
    bare = Catalog.from_specs(
        *(p for group in ("ofa.modalities", "ofa.processors", "ofa.adaptors") for p in catalog.plugins(group))  # type: ignore[arg-type]
    )
    for some in (bare, catalog):
        (slot,) = compile("-> [TEXT:a]", some, profile, with_criteria=False).instructions[0].slots
        assert (slot.criteria, slot.generator) == ((), TokenGeneration())
    compile("-> [TEXT:a,label_smoothing=0.1]", catalog, profile, with_criteria=False)
    with pytest.warns(OFAWarning, match="nothing that is installed declares it"):
        compile("-> [TEXT:a,label_smoothing=0.1]", bare, profile, with_criteria=False)
    with pytest.raises(InstructionError, match="TEXT needs criterion `cross_entropy`, which is not installed"):
        compile("-> [TEXT:a]", bare, profile)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[TEXT:a,no_loss] -> [TEXT:b]", "only an answer has a loss"),
        ("[TEXT:a,criterion=ce] -> [TEXT:b]", "only an answer has a loss"),
        ("[TEXT:a,generator=tokens] -> [TEXT:b]", "only an answer is generated"),
        ("[TEXT:a,closed_set] -> [TEXT:b]", "only an answer has a closed set"),
        ("-> [TEXT:a,no_loss,closed_set] [TEXT:b]", "only an answer has a closed set"),
    ],
)
def test_what_is_ignored_is_warned_of(text: str, why: str, catalog: Catalog, profile: BackendSpec) -> None:
    with pytest.warns(OFAWarning, match=rf"`\[TEXT:a\]` has no effect and is ignored: {why}") as caught:
        compile(text, catalog, profile)
    assert [warning.filename for warning in caught] == [__file__]


def test_alternatives_share_their_answers(catalog: Catalog, profile: BackendSpec) -> None:
    text = "[IMAGE:i] what? -> [TEXT:a] ||| describe [IMAGE:i] -> so: [TEXT:a] ||| [IMAGE:i] -> [TEXT:p,no_loss] [TEXT:a]"
    task = compile(text, catalog, profile)
    assert [len(plan.slots) for plan in task.instructions] == [2, 2, 3]
    assert compile(parse_template(text), catalog, profile) == task
    with pytest.raises(ValueError, match="at least one instruction"):
        compile([], catalog, profile)


def test_an_instruction_built_by_hand_compiles_and_its_errors_point_into_its_spelling(
    catalog: Catalog, profile: BackendSpec
) -> None:
    built = Instruction((Slot("TEXT", "a", (Attribute("max_length", "5"),)),), (Slot("TEXT", "b"),))
    assert compile(built, catalog, profile) == compile("[TEXT:a,max_length=5] -> [TEXT:b]", catalog, profile)
    with pytest.raises(InstructionError) as caught:
        compile(Instruction((Slot("TEXT", "a", (Attribute("max_length", "x"),)),), ()), catalog, profile)
    assert caught.value.text[slice(*caught.value.span)] == "x"


# Code, text, the place the carets mark, and words of the message.
MISTAKES = [
    ("OFA-I101", "[STRUCT:a] -> [TEXT:b]", "STRUCT", "come with `ofa-modalities`"),
    ("OFA-I102", "[TEXT:a,max_len=3] -> [TEXT:b]", "max_len", "did you mean `max_length`?"),
    ("OFA-I102", "[TEXT:a,zzz] ->", "zzz", "known: adaptor closed_set criterion dropout"),
    ("OFA-I102", "[TEXT:a,label_smoothing=0.1] -> [TEXT:b]", "label_smoothing", "It belongs to an answer"),
    ("OFA-I102", "-> [TEXT:a,kind=tokens]", "kind", "unknown attribute"),
    ("OFA-I103", "[TEXT:a,max_length=three] -> [TEXT:b]", "three", "should be a valid integer"),
    ("OFA-I103", "[TEXT:a,max_length=0] -> [TEXT:b]", "0", "greater than or equal to 1"),
    ("OFA-I103", "[TEXT:a,mask_ratio=1.5] -> [TEXT:b]", "1.5", "less than or equal to 1"),
    ("OFA-I103", "[TEXT:a,mask_ratio=nan] -> [TEXT:b]", "nan", "finite number"),
    ("OFA-I103", "[TEXT:a,max_length] -> [TEXT:b]", "max_length", "needs a value"),
    ("OFA-I103", "[TEXT:a,uncased=perhaps] -> [TEXT:b]", "perhaps", "valid boolean"),
    ("OFA-I103", "[IMAGE:a,resize=round] -> [TEXT:b]", "round", "'fit' or 'square'"),
    ("OFA-I103", "[IMAGE:a,resize] -> [TEXT:b]", "resize", "needs a value"),
    ("OFA-I103", "-> [TEXT:a,no_loss=maybe]", "maybe", "true or false"),
    ("OFA-I103", "-> [TEXT:a,processor]", "processor", "needs a value"),
    ("OFA-I103", "-> [TEXT:a,generator=beam]", "beam", "known: diffusion frames tokens"),
    ("OFA-I103", "-> [SERIES:a,stop_threshold=1]", "1", "less than 1"),
    ("OFA-I104", "[TEXT:a,preprocess=txt] ->", "txt", "did you mean `text`?"),
    ("OFA-I104", "[TEXT:a,adaptor=texts] ->", "texts", "unknown adaptor"),
    ("OFA-I104", "-> [TEXT:a,criterion=cross_entrpy]", "cross_entrpy", "did you mean `cross_entropy`?"),
    ("OFA-I106", "[TEXT:a,processor=box] ->", "box", "processors of TEXT: category text text_phone"),
    ("OFA-I106", "-> [IMAGE:a]", "IMAGE", "reads floats"),
    ("OFA-I106", "-> [TEXT:a,generator=frames]", "frames", "answers in floats"),
    ("OFA-I106", "-> [SERIES:a,closed_set]", "closed_set", "needs a token generator"),
    ("OFA-I106", "[TEXT:a] -> [TEXT:b,of=a]", "of", "TEXT stands alone"),
    ("OFA-I106", "-> [TEXT:a] [MOTION:m]", "[MOTION:m]", "the only slot of its target side"),
    ("OFA-I106", "-> ([MOTION:m])*", "[MOTION:m]", "outside of any repeat"),
    ("OFA-I107", "[TEXT:a] -> [BOX:b]", "BOX", "belongs to IMAGE, and there is none"),
    ("OFA-I107", "[BOX:b] [IMAGE:i] [IMAGE:j] ->", "BOX", "`of=i` or `of=j`"),
    ("OFA-I107", "[IMAGE:img] -> [BOX:b,of=igm]", "igm", "did you mean `img`?"),
    ("OFA-I107", "([IMAGE:i])* -> [BOX:b]", "BOX", "there is none"),
    ("OFA-I107", "([IMAGE:i])* ([BOX:b,of=i])* ->", "i])* ->"[:1], "No IMAGE slot can be seen"),
    ("OFA-I108", "-> [TEXT:a] ||| -> [TEXT:b]", "[TEXT:b]", "differs in column"),
    ("OFA-I108", "-> [TEXT:a] ||| -> ([TEXT:a])*", None, "differs in depth"),
    ("OFA-I108", "-> [TEXT:a] ||| -> [TEXT:a,max_length=4]", "[TEXT:a,max_length=4]", "differs in processor, generator"),
    ("OFA-I108", "-> [TEXT:a] ||| -> [TEXT:a] [TEXT:b]", "[TEXT:b]", "2 answers, the first 1"),
    ("OFA-I108", "-> [TEXT:a] [TEXT:b] ||| -> [TEXT:a]", None, "1 answers, the first 2"),
    ("OFA-I109", "[TEXT:a] -> ([TEXT:b] [TEXT:a])*", None, "both inside a repeat"),
]


@pytest.mark.parametrize(("code", "text", "place", "words"), MISTAKES)
def test_mistakes(code: str, text: str, place: str | None, words: str, catalog: Catalog, profile: BackendSpec) -> None:
    if code == "OFA-I101":
        catalog = Catalog.from_specs(*(p for p in catalog.plugins("ofa.modalities") if p.spec.name != "STRUCT"))
    with pytest.raises(InstructionError) as caught:
        compile(text, catalog, profile)
    error = caught.value
    assert error.code == code
    assert words in str(error)
    if place is not None:
        assert error.text[slice(*error.span)] == place
        assert str(error).splitlines()[2].index("^") - 2 == error.span.start


def test_every_code_of_compiling_is_tried() -> None:
    tried = {code for code, *_ in MISTAKES} | {"OFA-I105"}  # a broken plugin: test_catalog.py
    assert tried == {code for code in ErrorCode if code >= "OFA-I1"}


def test_an_ambiguous_plugin_is_an_error_where_it_is_used(catalog: Catalog, profile: BackendSpec) -> None:
    double = catalog.with_specs(ProcessorSpec(name="text", modalities=("TEXT",)), distribution="other")
    with pytest.raises(InstructionError, match="`text` is provided by `other` and by `test-plugins`"):
        compile("[TEXT:a] ->", double, profile)


def test_options_that_need_a_value_or_fit_together(profile: BackendSpec, catalog: Catalog) -> None:
    class Needy(Options):
        rate: int

    extended = catalog.with_specs(
        ModalitySpec(name="WAVE", processor="wave", adaptor="frames"),
        ProcessorSpec(name="wave", modalities=("WAVE",), options=Needy),
    )
    with pytest.raises(InstructionError, match="processor `wave`: rate: Field required") as caught:
        compile("[WAVE:a] ->", extended, profile)
    assert caught.value.span == (0, 8)
    assert plan_of("[WAVE:a,rate=8] ->", extended, profile).slots[0].processor.options == {"rate": 8}


def test_an_inert_attribute_that_a_plugin_declares_is_the_plugins(profile: BackendSpec, catalog: Catalog) -> None:
    class Labelled(Options):
        is_label: bool = False

    extended = catalog.with_specs(CriterionSpec(name="labelled", options=Labelled))
    (slot,) = plan_of("-> [TEXT:a,criterion=labelled,is_label]", extended, profile).slots
    assert slot.criteria[0].options == {"is_label": True}


def test_spans_of_a_template_point_into_the_template(catalog: Catalog, profile: BackendSpec) -> None:
    text = "[TEXT:a] -> [TEXT:b] ||| [TEXT:a,max_length=x] -> [TEXT:b]"
    with pytest.raises(InstructionError) as caught:
        compile(text, catalog, profile)
    assert caught.value.text == text
    assert text[slice(*caught.value.span)] == "x"
    assert parse(text.split(" ||| ")[0])
