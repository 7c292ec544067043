"""The published instructions of OFASys parse unchanged and compile, its names are understood."""

import warnings

import pytest
from ofa_instruction import BackendSpec, Catalog, InstructionError, OFAWarning, compile, parse

INSTRUCTIONS = {
    "glue": (
        'is the sentiment of text " [TEXT:sentence] " positive or negative? -> '
        'is the sentiment of text " [TEXT:sentence,no_loss] " positive or negative? [TEXT:label,closed_set]'
    ),
    "natural_instruction_v2": "[TEXT:instruction] [TEXT:examples] [TEXT:src] -> [TEXT:tgt,max_length=128]",
    "gigaword": 'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt,noise_ratio=0.2]',
    "text_infilling": 'what is the complete text of " [TEXT:text,mask_ratio=0.3] "? -> [TEXT:text]',
    "image_classify": "[IMAGE:image,preprocess=imagenet] what does the image describe? -> [TEXT:label_name,closed_set]",
    "snli_ve": (
        '[IMAGE:img] can image and text1 " [TEXT:cap] " imply text2 " [TEXT:hyp] "? -> '
        'can image and text1 " [TEXT:cap,no_loss] " imply text2 " [TEXT:hyp,no_loss] "? [TEXT:label,closed_set]'
    ),
    "caption": "[IMAGE:img] what does the image describe? -> [TEXT:cap]",
    "vqa_gen": "[IMAGE:image] [TEXT:question] -> [TEXT:answer,closed_set]",
    "image_gen": ('what is the complete image? caption: [TEXT:text]"? -> [IMAGE,preprocess=image_vqgan,adaptor=image_vqgan]'),
    "image_infilling": (
        'what is the complete image of "[IMAGE:img,mask_ratio=0.5]"? -> [IMAGE,preprocess=image_vqgan,adaptor=image_vqgan]'
    ),
    "refcoco": '[IMAGE:img] which region does the text " [TEXT:cap] " describe? -> [BOX:patch_boxes]',
    "grounded_captioning": "[IMAGE:img] what does the region describe? region: [BOX:patch_boxes] -> [TEXT:cap]",
    "object_detection": "[IMAGE:img] what are the objects in the image? -> ( [BOX] [TEXT])*",
    "object_detection, in brackets": "[IMAGE:img] what are the objects in the image? -> [[BOX][TEXT]]*",
    "object_detection, by its paper": "[IMAGE:img] what are the objects in the image? -> [[BOUNDING_BOX] [TEXT]]*",
    "interleaved": "([IMAGE] [TEXT])* -> [TEXT:story]",
    "video_classify": "[VIDEO:video] what is in the video? -> [TEXT:label_name,closed_set]",
    "video_caption": "[VIDEO:video] what does the video describe? -> [TEXT:cap]",
    "video_question_answering_generative": "[VIDEO:video] [TEXT:question] -> [TEXT:answer,is_label]",
    "speech_to_text": "[AUDIO:wav] what is the text corresponding to the voice? -> [TEXT:text,preprocess=text_phone]",
    "text_to_speech": "[PHONE:text] -> [AUDIO:fbank,adaptor=audio_tgt_fbank]",
    "spider": (
        ' " [TEXT:src] " ; structured knowledge: " [STRUCT:database,max_length=876] " . generating sql code. -> [TEXT:tgt]'
    ),
    "spider, in its documentation": (
        ' " [TEXT:src] " ; structured knowledge: " [TEXT:database,max_length=876] " . generating sql code. -> [TEXT:tgt]'
    ),
    "dart": 'structured knowledge: " [STRUCT:database,uncased] "  . how to describe the tripleset ? -> [TEXT:tgt]',
    "fetaqa": (
        'structured knowledge: " [STRUCT:database] "  . what is the answer of the question " [TEXT:src] " ? -> [TEXT:tgt]'
    ),
    "sudoku": '" [TEXT:src] " . solve the sudoku . -> [TEXT:tgt]',
    "diffusion": "motion capture: [TEXT:text] -> [MOTION:bvh_frames,preprocess=motion_6d,adaptor=motion_6d]",
    "category": "[IMAGE:img] -> [TEXT:label,preprocess=category]",
}


@pytest.mark.parametrize("text", INSTRUCTIONS.values(), ids=INSTRUCTIONS.keys())
def test_parses_and_round_trips(text: str) -> None:
    instruction = parse(text)
    assert parse(str(instruction)) == instruction
    assert len(instruction.slots) == text.count("[") - text.count("[[")
    assert instruction.target


@pytest.mark.parametrize("text", INSTRUCTIONS.values(), ids=INSTRUCTIONS.keys())
def test_compiles_under_two_profiles(text: str, catalog: Catalog, profile: BackendSpec, ofa_profile: BackendSpec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error" if "is_label" not in text else "ignore")
        plans = [compile(text, catalog, backend, name="t").instructions[0] for backend in (profile, ofa_profile)]
    assert plans[0].text == plans[1].text == str(parse(text))
    assert [slot.index for slot in plans[0].slots] == list(range(len(parse(text).slots)))


def test_words_between_slots_keep_their_inner_blanks() -> None:
    assert '"  . how to describe the tripleset ?' in str(parse(INSTRUCTIONS["dart"]))


def test_names_of_plugins_resolve(catalog: Catalog, ofa_profile: BackendSpec) -> None:
    image, label = compile(INSTRUCTIONS["image_classify"], catalog, ofa_profile).instructions[0].slots
    assert (image.processor.name, image.adaptor.name, label.closed_set) == ("image", "image_resnet", "label_name")


@pytest.mark.parametrize("key", ["is_label", "add_bos", "add_eos", "disable_auto_boseos"])
def test_an_attribute_without_effect_warns(key: str, catalog: Catalog, profile: BackendSpec) -> None:
    with pytest.warns(OFAWarning, match=rf"`{key}` of `\[TEXT:a\]` has no effect"):
        plan = compile(f"[TEXT:q] -> [TEXT:a,{key}]", catalog, profile)
    assert plan.instructions[0].slots == compile("[TEXT:q] -> [TEXT:a]", catalog, profile).instructions[0].slots


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[IMAGE:a,preprocess=imagepretrain] -> [TEXT:b]", "processor `imagepretrain` of OFASys is not installed"),
        ("[IMAGE:a,adaptor=image_vit] -> [TEXT:b]", "adaptor `image_vit` of OFASys is not installed"),
        ("[IMAGE:a] -> [TEXT:b,criterion=speech_to_text_loss]", "criterion `speech_to_text_loss` of OFASys is not installed"),
        ("[TEXT:a,window] -> [TEXT:b]", "OFASys has this attribute; nothing this slot uses declares it"),
    ],
)
def test_a_known_name_that_nothing_provides_is_said_to_be_known(
    text: str, message: str, catalog: Catalog, profile: BackendSpec
) -> None:
    with pytest.raises(InstructionError, match=message):
        compile(text, catalog, profile)
