"""What a ``tokenizer.json`` may hold, checked before the library makes anything of it.

Real tokenizers (GPT-2, Llama, BERT, T5 and their kin) are far within these bounds. What is beyond could make a text grow without
end, match for hours, or fill the memory: normalisers that double a text again and again, patterns that try every way to split a
run, millions of added tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ofa_instruction.documents import DocumentError, parse_json
from ofa_instruction.plans import MOST_IDS
from ofa_instruction.telling import shown

from ofa_modalities.tokenizer_patterns import check_pattern

MOST_BYTES = 64 << 20
MOST_VALUES = 3_000_000
_MOST_PARTS = 32
_MOST_ADDED = 100_000
_LONGEST_TOKEN = 4096
_LONGEST_PIECE = 64
_LONGEST_MAP = 4 << 20
_MOST_GROWTH = 64

_PARTS: Mapping[str, str] = {
    "normalizer": (
        "BertNormalizer ByteLevel Lowercase NFC NFD NFKC NFKD Nmt Precompiled Prepend Replace Sequence Strip StripAccents"
    ),
    "pre_tokenizer": (
        "BertPreTokenizer ByteLevel CharDelimiterSplit Digits FixedLength Metaspace Punctuation Sequence Split UnicodeScripts"
        " Whitespace WhitespaceSplit"
    ),
    "post_processor": "BertProcessing ByteLevel RobertaProcessing Sequence TemplateProcessing",
    "decoder": "BPEDecoder ByteFallback ByteLevel CTC Fuse Metaspace Replace Sequence Strip WordPiece",
}
_INNER = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors", "decoder": "decoders"}
_MODELS = "BPE Unigram WordLevel WordPiece"


class TokenizerFacts(NamedTuple):
    """What is known of a tokenizer before it is made. size: one more than its largest id."""

    size: int


def check_tokenizer(state: str) -> TokenizerFacts:
    """Check the text of a ``tokenizer.json``. Raises ValueError that names the field."""
    try:
        data = parse_json(state, most_levels=None, most_values=MOST_VALUES)
    except DocumentError as error:
        raise ValueError(f"not a tokenizer: it {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"not a tokenizer: it is {shown(data)}, not a mapping")
    for name in _PARTS:
        growth = 1.0
        for parts, (place, part) in enumerate(_parts(data.get(name), name, name), 1):
            growth *= _check_part(part, place)
            if parts > _MOST_PARTS or growth > _MOST_GROWTH:
                raise _bad(name, f"its parts could make a text {_MOST_GROWTH} times as long, or are more than {_MOST_PARTS}")
    return TokenizerFacts(size=1 + max(_largest_id(data.get("model")), _largest_added(data.get("added_tokens"))))


def _bad(place: str, what: str) -> ValueError:
    return ValueError(f"not a tokenizer that is read here: `{place}`: {what}")


def _parts(part: object, name: str, place: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A component and, of a sequence, those inside it, each with its place."""
    if part is None:
        return
    if not isinstance(part, dict):
        raise _bad(place, f"{shown(part)} is no component")
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS[name].split():
        raise _bad(f"{place}.type", f"{shown(kind)} is none of {_PARTS[name]}")
    yield place, part
    if kind != "Sequence":
        return
    inner = part.get(_INNER[name])
    if not isinstance(inner, list) or len(inner) > _MOST_PARTS or depth >= 2:
        raise _bad(f"{place}.{_INNER[name]}", f"a list of at most {_MOST_PARTS} components, sequences two deep, is read")
    for number, one in enumerate(inner):
        yield from _parts(one, name, f"{place}.{_INNER[name]}.{number}", depth + 1)


def _check_part(part: Mapping[str, Any], place: str) -> float:
    """Check the values of one component; return how many times as long it may make a text."""
    pieces = 0
    for key, value in part.items():
        if isinstance(value, str):
            most = _LONGEST_MAP if part["type"] == "Precompiled" else _LONGEST_PIECE
            if len(value) > most:
                raise _bad(f"{place}.{key}", f"a text of {len(value):,} characters; at most {most:,} are read")
        elif isinstance(value, int | float) and not isinstance(value, bool) and not 0 <= value <= MOST_IDS:
            raise _bad(f"{place}.{key}", f"{shown(value)} lies outside of 0 … {MOST_IDS:,}")
        elif isinstance(value, list | dict) and key in ("single", "pair"):
            pieces += len(value)
    if pieces > _LONGEST_PIECE:
        raise _bad(place, f"a template of {pieces:,} pieces")
    if "pattern" in part:
        return _growth(part["pattern"], part.get("content", ""), f"{place}.pattern")
    if part["type"] == "FixedLength" and not part.get("length", 1):
        raise _bad(f"{place}.length", "0 cuts nothing off")
    return 1.0


def _growth(pattern: object, content: object, place: str) -> float:
    if not isinstance(pattern, dict) or len(pattern) != 1 or not isinstance(content, str):
        raise _bad(place, f"{shown(pattern)} is no pattern")
    (kind, text), *_ = pattern.items()
    if not isinstance(text, str) or kind not in ("String", "Regex"):
        raise _bad(place, f"{shown(kind)} is none of Regex String")
    if kind == "String":
        if not 0 < len(text) <= _LONGEST_PIECE:
            raise _bad(place, f"a text of {len(text):,} characters; 1 to {_LONGEST_PIECE} are read")
        return max(1.0, len(content) / len(text))
    try:
        check_pattern(text)
    except ValueError as error:
        raise _bad(f"{place}.Regex", str(error)) from error
    return 1.0 + len(content)


def _largest_id(model: object) -> int:
    if not isinstance(model, dict):
        raise _bad("model", f"{shown(model)} is no model")
    kind = model.get("type", "BPE")  # older files do not say it of a BPE
    if not isinstance(kind, str) or kind not in _MODELS.split():
        raise _bad("model.type", f"{shown(kind)} is none of {_MODELS}")
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
        piece = model.get(key)
        if piece is not None and not (isinstance(piece, str) and len(piece) <= _LONGEST_PIECE):
            raise _bad(f"model.{key}", f"{shown(piece)} is no text of at most {_LONGEST_PIECE} characters")
    longest_word = model.get("max_input_chars_per_word", 100)
    if not isinstance(longest_word, int) or not 0 < longest_word <= _LONGEST_TOKEN:
        raise _bad("model.max_input_chars_per_word", f"{shown(longest_word)} lies outside of 1 … {_LONGEST_TOKEN:,}")
    vocabulary = model.get("vocab")
    if kind == "Unigram":
        return _check_scores(vocabulary, model.get("unk_id"))
    _check_ids(vocabulary)
    assert isinstance(vocabulary, dict)
    if kind == "BPE":
        _check_merges(model.get("merges"), vocabulary, model.get("continuing_subword_prefix") or "")
    return max(vocabulary.values(), default=-1)


def _check_ids(vocabulary: object) -> None:
    place = "model.vocab"
    if not isinstance(vocabulary, dict):
        raise _bad(place, f"{shown(vocabulary)} is no mapping of tokens to ids")
    if {*map(type, vocabulary.values())} - {int}:
        token = next(token for token, index in vocabulary.items() if type(index) is not int)
        raise _bad(place, f"the id of {shown(token)} is {shown(vocabulary[token])}")
    if vocabulary and not 0 <= min(vocabulary.values()) <= max(vocabulary.values()) < MOST_IDS:
        raise _bad(place, f"an id lies outside of 0 … {MOST_IDS - 1:,}")
    if max(map(len, vocabulary), default=0) > _LONGEST_TOKEN:
        raise _bad(place, f"a token has more than {_LONGEST_TOKEN:,} characters")


def _check_merges(merges: object, vocabulary: Mapping[str, int], prefix: str) -> None:
    """Pairs as lists or, in older files, joined by a blank; both parts and what they become are tokens."""
    place = "model.merges"
    if not isinstance(merges, list):
        raise _bad(place, f"{shown(merges)} is no list")
    skip = len(prefix)
    if not skip and _all_merge(merges, vocabulary):
        return
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], str):
            raise _bad(f"{place}.{number}", f"{shown(merge)} is no pair of tokens")
        left, right = pair
        if left not in vocabulary or right not in vocabulary or left + right[skip:] not in vocabulary:
            raise _bad(f"{place}.{number}", f"{shown(left)} and {shown(right)} make no token of the vocabulary")


def _all_merge(merges: list[Any], vocabulary: Mapping[str, int]) -> bool:
    """Whether every merge is sound, found out in one go: a file has tens of thousands. False where one may not be."""
    kinds = {*map(type, merges)}
    pairs = [merge.split(" ") for merge in merges] if kinds == {str} else merges
    if kinds - {str} and kinds != {list}:
        return False
    try:
        return all(left in vocabulary and right in vocabulary and left + right in vocabulary for left, right in pairs)
    except (TypeError, ValueError):  # no text, or no pair
        return False


def _check_scores(vocabulary: object, unknown: object) -> int:
    """Of a Unigram: pairs of token and score, the id is the place."""
    place = "model.vocab"
    if not isinstance(vocabulary, list) or not vocabulary:
        raise _bad(place, f"{shown(vocabulary)} is no list of tokens with scores")
    for number, pair in enumerate(vocabulary):
        match pair:
            case [str(token), int() | float() as score] if len(token) <= _LONGEST_TOKEN and -1e9 <= score <= 1e9:
                continue
        raise _bad(f"{place}.{number}", f"{shown(pair)} is no token with its score")
    if unknown is not None and (not isinstance(unknown, int) or not 0 <= unknown < len(vocabulary)):
        raise _bad("model.unk_id", f"{shown(unknown)} is no place in the vocabulary")
    return len(vocabulary) - 1


def _largest_added(added: object) -> int:
    if added is None:
        return -1
    if not isinstance(added, list) or len(added) > _MOST_ADDED:
        raise _bad("added_tokens", f"{shown(added)}; a list of at most {_MOST_ADDED:,} is read")
    largest, characters = -1, 0
    for number, token in enumerate(added):
        match token:
            case {"id": int(index), "content": str(content)} if 0 <= index < MOST_IDS and 0 < len(content) <= _LONGEST_TOKEN:
                largest, characters = max(largest, index), characters + len(content)
            case _:
                raise _bad(f"added_tokens.{number}", "no token with its `content` and `id`, or one beyond the bounds")
    if characters > _LONGEST_MAP:
        raise _bad("added_tokens", f"{characters:,} characters together; at most {_LONGEST_MAP:,} are read")
    return largest
