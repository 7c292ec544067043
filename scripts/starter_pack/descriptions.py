"""Descriptions of Debian packages with their one-line summaries, one row a source package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from starter_pack.fetching import SPLIT_SALT, fetch_package_lists, hash_int

MAX_DESCRIPTION_WORDS = 80
NUM_DESCRIPTIONS = 11500
MAX_OF_A_SECTION = 900  # Perl modules alone would be a fifth of the rows

SKIPPED_PACKAGES = re.compile(
    r"-(dev|doc|docs|dbg|dbgsym|data|common|examples|l10n|locales?|i18n|tests?|headers|bin|udeb|fonts?|all|modules?)(-|$)|"
    r"^(lib.*\d$|task-|hunspell-|aspell-|myspell-|hyphen-|mythes-|wordlist|fonts-|linux-|gcc-|g\+\+-|cross|tesseract-ocr-|"
    r"golang-|node-|librust-|r-|ruby-|php-|elpa-|gir1|libghc-|haskell-|puppet-|dict-|manpages|language-)"
)
SKIPPED_SUMMARIES = re.compile(
    r"transitional|dummy|metapackage|meta-package|documentation|debug|header|development files", re.IGNORECASE
)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Fields of each paragraph of a Debian control file; folded lines keep their leading blank."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in block.split("\n"):
            if line.startswith(" "):
                fields[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if fields:
            yield fields


def clean_description(lines: list[str]) -> str:
    """Whole sentences of the first paragraphs, up to the first list, at most ``MAX_DESCRIPTION_WORDS`` words."""
    kept = []
    for line in lines:
        if line.startswith("  ") or re.match(r" [-*+•]", line):
            break
        kept.append(line.strip() if line.strip() != "." else "\n")
    if kept and len(kept) < len(lines) and not kept[-1].endswith("."):
        text = " ".join(kept)
        kept = [text[: text.rfind(". ") + 1]]  # the words that announce the list are dropped with it
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", " ".join(kept)):
        more = sentence.split()
        if len(words) + len(more) > MAX_DESCRIPTION_WORDS or (more and not more[-1].endswith((".", "!", "?"))):
            break
        words += more
    return " ".join(words)


def usable(summary: str, description: str) -> bool:
    """Whether the pair is plain English prose of a fitting length, and the description more than its summary."""
    text = summary + " " + description
    if not 3 <= len(summary.split()) <= 12 or len(description.split()) < 18 or not text.isascii():
        return False
    if SKIPPED_SUMMARIES.search(summary) or re.search(r"https?:|www\.|@|[<>{}|\\`]|This package (contains|provides) the", text):
        return False
    return description.endswith((".", "!", "?"))


def shingles(text: str) -> set[str]:
    """Runs of five words, lower case, without punctuation."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {" ".join(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def build_descriptions(cache: Path) -> pa.Table:
    """One row a source package, none of them nearly another's text, in the order of a hash of the source's name."""
    packages, translations = fetch_package_lists(cache)
    texts = {fields["Description-md5"]: fields.get("Description-en", "") for fields in stanzas(translations)}
    candidates = []
    for fields in stanzas(packages):
        source = fields.get("Source", fields["Package"]).split()[0]
        if SKIPPED_PACKAGES.search(fields["Package"]) or fields.get("Description-md5") not in texts:
            continue
        summary, *lines = texts[fields["Description-md5"]].split("\n")
        candidates.append((hash_int("source", source), source, fields["Package"], fields["Section"], summary, lines))
    rows = []
    sources: set[str] = set()
    summaries: set[str] = set()
    seen: set[str] = set()
    sections: Counter[str] = Counter()
    for _, source, package, section, summary, lines in sorted(candidates):
        summary = " ".join(summary.split()).rstrip(".")
        description = clean_description(lines)
        parts = shingles(description)
        key = re.sub(r"[^a-z ]", "", summary.lower())
        if source in sources or key in summaries or sections[section] == MAX_OF_A_SECTION:
            continue
        if not usable(summary, description) or len(parts & seen) > 0.2 * len(parts):
            continue
        sections[section] += 1
        sources.add(source)
        summaries.add(key)
        seen |= parts
        split = {8: "valid", 9: "test"}.get(hash_int("description", SPLIT_SALT, source) % 10, "train")
        row = {"source": source, "package": package, "section": section, "summary": summary, "description": description}
        rows.append({**row, "split": split})
        if len(rows) == NUM_DESCRIPTIONS:
            break
    return pa.Table.from_pylist(rows)
