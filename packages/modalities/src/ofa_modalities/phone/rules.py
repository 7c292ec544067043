"""Words that no dictionary has: of known parts where they are, else letter by letter.

A small table of English letter-to-sound rules in the manner of Elovitz et al. 1976 (NRL report 7948). It is meant for names
and new words now and then, not for a whole language.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ofa_modalities.phone.dictionary import look_up, plural

_LETTERS = {
    **{"a": "EY1", "b": "B IY1", "c": "S IY1", "d": "D IY1", "e": "IY1", "f": "EH1 F", "g": "JH IY1", "h": "EY1 CH", "i": "AY1"},
    **{"j": "JH EY1", "k": "K EY1", "l": "EH1 L", "m": "EH1 M", "n": "EH1 N", "o": "OW1", "p": "P IY1", "q": "K Y UW1"},
    **{"r": "AA1 R", "s": "EH1 S", "t": "T IY1", "u": "Y UW1", "v": "V IY1", "w": "D AH1 B AH0 L Y UW0", "x": "EH1 K S"},
    **{"y": "W AY1", "z": "Z IY1"},
}
_RULES = r"""
^ae=IY  augh=AO  au=AO  aw=AO  ai(?=r)=EH  ai=EY  ay=EY  ar(?=r)=AE R  ar(?=e$)=EH R  ^ar=AA R  ar(?![aeiouy])=AA R
al(?=[lk])=AO L  ange=EY N JH  a(?=ste$)=EY  a(?=[^aeiouwxyr]e$)=EY  a(?=[^aeiouwxyr]ing$)=EY  a(?=tion)=EY  a$=AH  a=AE
bb=B  (?<=m)b$=  b=B
cch=K  ck=K  ch(?=[rlm])=K  ch=CH  cc(?=[eiy])=K S  cc=K  ci(?=[aou])=SH  c(?=[eiy])=S  c=K
dge?(?=[eiy]|$)=JH  dd=D  d=D
eau=OW  eigh=EY  ear(?=[^aeiou])=ER  ear=IH R  ea(?=d$|th|sure)=EH  ea=IY  eer=IH R  ee=IY  ei(?=r)=EH  ei=IY  ere$=IH R
ew=UW  eu=Y UW  ey$=IY  ey=EY  er(?=[^aeiou]|$)=ER  (?<=[^aeiouy][^aeiouy])e(?=s$)=IH
e(?=[^aeiouwxyr]e$)=IY  e(?=d$)=  e$=  e(?=s$)=  e=EH
ff=F  f=F
ght=T  gh$=  gh=G  gg=G  gn$=N  ^gn=N  gu(?=[ei])=G  g(?=[eiy])=JH  g=G
h(?=[^aeiouy]|$)=  h=HH
igh=AY  ier$=IY ER  ir(?=[^aeiou]|$)=ER  ire=AY ER  ie$=IY  ie=IY  ion$=Y AH N  ious$=IY AH S  ign=AY N  ind$=AY N D  ild$=AY L D
i(?=[^aeiouwxyr]e$)=AY  i(?=[^aeiouwxyr]ing$)=AY  i$=IY  i(?=[aou])=IY  i=IH
j=JH
^kn=N  kk=K  k=K
ll=L  l=L
mm=M  m=M
ng$=NG  ng(?=[^aeiouylr])=NG  n(?=[kxq])=NG  nn=N  n=N
ough(?=t)=AO  ough=OW  oar=AO R  oa=OW  oor=AO R  oo(?=k)=UH  oo=UW  oi=OY  oy=OY  our=AO R  ous$=AH S  ou=AW
ow$=OW  ow=AW  old=OW L D  or(?=[^aeiou]|$)=AO R  ore=AO R  oe$=OW
o(?=[^aeiouwxyr]e$)=OW  o(?=[^aeiouwxyr]ing$)=OW  o$=OW  o(?=ll)=OW  o=AA
ph=F  pp=P  ^ps=S  p=P
qu=K W  q=K
^rh=R  rr=R  r=R
sch=S K  sh=SH  ss=S  sion=ZH AH N  (?<=s)ion$=AH N  sc(?=[eiy])=S  (?<=[aeiouy])s(?=[aeiouy])=Z  (?<=[bdglmnrvwy])s$=Z
sm$=Z AH M  s=S
tch=CH  tion=SH AH N  ti(?=[ao])=SH  ture$=CH ER  th=TH  tt=T  t=T
ui=UW  ue$=UW  ur(?=[^aeiou]|$)=ER  ure=Y UH R  ^u(?=ni)=Y UW  u(?=[^aeiouwxyr]e$)=UW  u(?=[^aeiouwxyr][aiou])=UW  u$=UW  u=AH
v=V
^wr=R  wh=W  w=W
^x=Z  x=K S
^y=Y  (?<=^[^aeiouy])y$=AY  (?<=^[^aeiouy][^aeiouy])y$=AY  y$=IY  y(?=[^aeiouwxyr]e$)=AY  y(?=[aeiou])=Y  y=IH
zz=Z  z=Z
"""


def _table() -> dict[str, list[tuple[re.Pattern[str], tuple[str, ...]]]]:
    """Rules by the letter they begin with, in order; a rule is ``pattern=phones``."""
    table: dict[str, list[tuple[re.Pattern[str], tuple[str, ...]]]] = {}
    for entry in re.split(r"\n|  +", _RULES.strip()):
        pattern, _, phones = entry.rpartition("=")
        if "=" in phones or not pattern:
            raise AssertionError(entry)
        bare = re.sub(r"\(\?<?[=!:][^()]*(?:\([^()]*\)[^()]*)*\)\*?", "", pattern).replace("^", "")
        table.setdefault(bare[0], []).append((re.compile(pattern), tuple(phones.split())))
    return table


_TABLE = _table()
_SUFFIXES = (
    ("ing", "IH0 NG"),
    ("er", "ER0"),
    ("ers", "ER0 Z"),
    ("ly", "L IY0"),
    ("ness", "N AH0 S"),
    ("less", "L AH0 S"),
    ("ment", "M AH0 N T"),
    ("able", "AH0 B AH0 L"),
    ("ful", "F AH0 L"),
    ("ish", "IH0 SH"),
)


@lru_cache(maxsize=65_536)
def pronounce(word: str) -> tuple[str, ...]:
    """Phones of a lower-case word of letters and apostrophes, at least one of them a letter; the same every time.

    >>> pronounce("voicemailing"), pronounce("blick")
    (('V', 'OY1', 'S', 'M', 'EY2', 'L', 'IH0', 'NG'), ('B', 'L', 'IH1', 'K'))
    """
    word = word.replace("'", "")
    return _of_parts(word) or _by_letters(word)


def spell_letters(word: str) -> tuple[str, ...]:
    """Phones of the letters' names.

    >>> spell_letters("pbx")
    ('P', 'IY1', 'B', 'IY1', 'EH1', 'K', 'S')
    """
    return tuple(phone for letter in word if letter in _LETTERS for phone in _LETTERS[letter].split())


def _of_parts(word: str) -> tuple[str, ...] | None:
    """A known word with a suffix, or two known words."""
    for suffix, phones in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= 3:
            doubled = stem[:-1] if stem[-1] == stem[-2] else stem
            base = look_up(stem) or look_up(doubled) or look_up(stem + "e") or _of_parts(stem)
            if base is not None:
                return (*base, *phones.split())
    for end, ending in (("ed", _past), ("s", plural)):
        stem = word.removesuffix(end)
        base = (look_up(stem) or look_up(stem + "e")) if stem != word and len(stem) >= 3 else None
        if base is not None:
            return (*base, *ending(base[-1]))
    for cut in sorted(range(3, len(word) - 2), key=lambda cut: abs(2 * cut - len(word))):
        left, right = look_up(word[:cut]), look_up(word[cut:])
        if left is not None and right is not None:
            return (*left, *(phone.replace("1", "2") for phone in right))
    return None


def _past(last: str) -> tuple[str, ...]:
    """``-ed`` as English says it after ``last``."""
    if last in ("T", "D"):
        return ("IH0", "D")
    return ("T",) if last in ("P", "K", "F", "TH", "S", "SH", "CH") else ("D",)


def _by_letters(word: str) -> tuple[str, ...]:
    phones: list[str] = []
    at = 0
    while at < len(word):
        for pattern, sounds in _TABLE.get(word[at], ()):
            match = pattern.match(word, at)
            if match is not None and match.end() > at:
                phones += sounds
                at = match.end()
                break
        else:
            at += 1
    if not any(phone[0] in "AEIOU" for phone in phones):
        return spell_letters(word)
    return tuple(_stressed(phones))


def _stressed(phones: list[str]) -> list[str]:
    """The first vowel is stressed."""
    found, seen = [], False
    for phone in phones:
        if phone[0] in "AEIOU":
            phone, seen = phone + ("0" if seen else "1"), True
        found.append(phone)
    return found
