"""Text ⇄ token ids, local to the tokenizer (0 .. size - 1).

A run trains a byte-level BPE on its own texts, so that every text can be spelled and nothing is unknown. Any
``tokenizer.json`` (WordPiece, SentencePiece, ...) can be loaded in its place. Texts are stripped; a byte-level BPE
puts a blank before the first word, so that ``cat`` is one token at a start and inside.

The spelling of a special token inside a text is split like any other text; whatever a loaded tokenizer makes of it, it stays
an id of the text block and never becomes a control token of the vocabulary.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_instruction.telling import told

from ofa_modalities.tokenizer_rules import MOST_BYTES, check_tokenizer

if TYPE_CHECKING:
    from types import TracebackType

    from tokenizers import Tokenizer

from ofa_modalities.token_pieces import ends_whole, readable_pieces, token_bytes

TOKENIZER_FILE = "tokenizer.json"
_MOST_BYTES = 4
"""Of a character, and so the most tokens that it may be in."""


class TextTokenizer:
    """A ``tokenizers`` tokenizer without specials, padding and truncation; picklable.

    >>> tokenizer = train_tokenizer(["the cat sat", "the cat"], size=270)
    >>> tokenizer.decode(tokenizer.encode("  the cat"))
    'the cat'

    What the file says is checked here; the library makes its own of it when the first text is read.
    """

    def __init__(self, state: str) -> None:
        """``state`` is the text of a ``tokenizer.json``. Raises ValueError that names the field where it is not one to read."""
        self._state = state
        self._size = check_tokenizer(state).size

    @functools.cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        with _MAKING:
            made = Tokenizer.from_str(self._state)
        made.no_truncation()
        made.no_padding()
        made.encode_special_tokens = True
        return made

    @property
    def size(self) -> int:
        """Number of ids, added tokens included: one more than the largest."""
        return self._size

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of the text of its ``tokenizer.json``."""
        return hashlib.sha256(self._state.encode("utf-8", "surrogatepass")).hexdigest()

    def has_digest(self, digest: str) -> bool:
        """Whether it is the tokenizer of that digest, which older checkpoints took of the file's content in sorted order."""
        if digest == self.digest:
            return True
        ordered = json.dumps(json.loads(self._state), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return digest == hashlib.sha256(ordered.encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return f"TextTokenizer({self.size:,} ids)"

    def encode(self, text: str) -> list[int]:
        """Ids of the stripped text; empty for blanks. Raises ValueError for text that UTF-8 cannot hold."""
        text = text.strip()
        if not text:
            return []
        try:
            with _ENCODING:
                return self._tokenizer.encode(text, add_special_tokens=False).ids
        except TypeError as error:
            raise ValueError("the text holds a lone surrogate, which is not a character") from error

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, stripped; bytes that are no character become U+FFFD."""
        with _DECODING:
            return self._tokenizer.decode(ids, skip_special_tokens=True).strip()

    def whole(self, ids: Sequence[int]) -> Sequence[int]:
        """The ids of a text that was cut, without the last ones where these are a part of a character only."""
        byte_level, added = self._spelling
        kept = len(ids)
        while kept:
            tokens = [(index, self._tokenizer.id_to_token(index) or "") for index in ids[max(0, kept - _MOST_BYTES) : kept]]
            tail = b"".join(token_bytes(token, byte_level=byte_level and index not in added) for index, token in tokens)
            if ends_whole(tail):
                break
            kept -= 1
        return ids[:kept]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """How a person reads each of some ids that stand in a row; see :func:`ofa_modalities.token_pieces.readable_pieces`."""
        byte_level, added = self._spelling
        tokens = [(index, self._tokenizer.id_to_token(index) or f"<{index}>") for index in ids]
        return readable_pieces([token_bytes(token, byte_level=byte_level and index not in added) for index, token in tokens])

    @functools.cached_property
    def _spelling(self) -> tuple[bool, frozenset[int]]:
        """Whether the letters of a token stand for bytes; the ids that were added, whose letters are letters."""
        decoder = json.loads(self.to_json()).get("decoder") or {}
        byte_level = any(one.get("type") == "ByteLevel" for one in (decoder, *decoder.get("decoders", ())))
        return byte_level, frozenset(self._tokenizer.get_added_tokens_decoder())

    def to_json(self) -> str:
        """The text of its ``tokenizer.json``."""
        return self._state

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json`` into a directory, or a file of that very name."""
        path = Path(path)
        file = path / TOKENIZER_FILE if path.is_dir() or not path.suffix else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._state.encode("utf-8"))

    def __getstate__(self) -> tuple[str, int]:
        return self._state, self._size

    def __setstate__(self, state: tuple[str, int]) -> None:
        self._state, self._size = state


class _ToldPanics:
    """What the library raises becomes a ValueError: it is written in Rust; its panics are no Exception, its errors bare."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and (kind is Exception or kind.__name__ == "PanicException"):
            raise ValueError(f"{self.what}: {told(str(error), 200)}") from error


_MAKING = _ToldPanics("not a tokenizer")
_ENCODING = _ToldPanics("the tokenizer cannot split this text")
_DECODING = _ToldPanics("the tokenizer cannot spell these ids")


def train_tokenizer(texts: Iterable[str], size: int = 4096) -> TextTokenizer:
    """Train a byte-level BPE of at most ``size`` ids (at least 257) on ``texts``; the same texts give the same tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < 257:
        raise ValueError(f"a byte-level tokenizer needs at least 257 ids, not {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False, special_tokens=[]
    )
    clean = (text.encode("utf-8", "ignore").decode() for text in texts)
    with _one_thread():
        tokenizer.train_from_iterator(clean, trainer)
    return TextTokenizer(tokenizer.to_str())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads would warn in loader workers that are forked later."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def load_tokenizer(path: str | Path) -> TextTokenizer:
    """Load ``tokenizer.json``, or the directory that holds one.

    Raises FileNotFoundError, saying how to make one, and ValueError where the file is not a tokenizer.
    """
    path = Path(path)
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"no tokenizer at `{file}`: give a {TOKENIZER_FILE} or the directory of one"
            " (a transformers tokenizer writes it with `save_pretrained`)"
        )
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"`{file}` has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return TextTokenizer(file.read_bytes().decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"`{file}`: {error}") from error
