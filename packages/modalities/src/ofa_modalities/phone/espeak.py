"""Words pronounced by espeak-ng, an own program, in a child process with a time limit."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from functools import lru_cache

TIME_LIMIT_S = 5.0

_IPA = {
    **{"ɑː": "AA", "ɑ": "AA", "ɒ": "AA", "a": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ᵻ": "IH", "ɔː": "AO", "ɔ": "AO"},
    **{
        "aʊ": "AW",
        "aɪ": "AY",
        "ɛ": "EH",
        "e": "EH",
        "ɜː": "ER",
        "ɜ": "ER",
        "ɚ": "ER",
        "ɝ": "ER",
        "eɪ": "EY",
        "ɪ": "IH",
        "i": "IY",
    },
    **{"iː": "IY", "oʊ": "OW", "əʊ": "OW", "o": "OW", "oː": "OW", "ɔɪ": "OY", "ʊ": "UH", "u": "UW", "uː": "UW", "ɛɹ": "EH R"},
    **{"b": "B", "tʃ": "CH", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH", "dʒ": "JH", "k": "K", "l": "L"},
    **{"m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "θ": "TH", "v": "V"},
    **{"w": "W", "j": "Y", "z": "Z", "ʒ": "ZH", "x": "K", "ʔ": "T", "əl": "AH L", "n̩": "AH N", "ɫ": "L"},
}
_LANGUAGE = re.compile(r"\([\w-]+\)")
"""espeak-ng marks where it takes a word for one of another language."""
_LONGEST = max(map(len, _IPA))
_STRESS = {"ˈ": "1", "ˌ": "2"}
_SILENT = frozenset(" \n_-|.‿")
"""Signs of no sound; the marks of stress, length and colour are Unicode's modifiers."""


@lru_cache(maxsize=1)
def espeak_path() -> str | None:
    """Where espeak-ng is installed, or None; looked for once in a process."""
    return shutil.which("espeak-ng")


@lru_cache(maxsize=65_536)
def pronounce(word: str) -> tuple[str, ...]:
    """Phones of a word of letters and apostrophes.

    Raises ValueError where espeak-ng is not installed, fails, takes too long or says nothing.
    """
    program = espeak_path()
    if program is None:
        raise ValueError("`espeak-ng` is not installed")
    command = [program, "-q", "--ipa", "-v", "en-us", "--", word]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=TIME_LIMIT_S, check=True)
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        raise ValueError(f"espeak-ng does not pronounce {word!r}: {error}") from error
    phones = from_ipa(done.stdout)
    if not phones:
        raise ValueError(f"espeak-ng says nothing of {word!r}")
    return phones


def from_ipa(ipa: str) -> tuple[str, ...]:
    """espeak-ng's IPA → ARPAbet; ˈ and ˌ become the stress of the next vowel. Raises ValueError for a sound that it has not.

    >>> from_ipa("həlˈoʊ")
    ('HH', 'AH0', 'L', 'OW1')
    """
    ipa = _LANGUAGE.sub("", ipa)
    phones: list[str] = []
    stress, at = "0", 0
    while at < len(ipa):
        for length in range(min(_LONGEST, len(ipa) - at), 0, -1):
            sound = _IPA.get(ipa[at : at + length])
            if sound is not None:
                for part in sound.split():
                    if part[0] in "AEIOU":
                        part, stress = part + stress, "0"
                    phones.append(part)
                at += length
                break
        else:
            sign = ipa[at]
            if sign not in _SILENT and unicodedata.category(sign) not in ("Mn", "Lm", "Cf"):
                raise ValueError(f"espeak-ng says {sign!r}, which is no sound of ARPAbet")
            stress = _STRESS.get(sign, stress)
            at += 1
    return tuple(phones)
