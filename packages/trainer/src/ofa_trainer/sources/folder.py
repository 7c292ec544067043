"""A folder as data: media in a folder of each class, or media alone; and the parts of a folder that is split already.

FOLDER/cat/1.jpg  FOLDER/dog/2.jpg      a row for each file, with its class: {"img": "cat/1.jpg", "label": "cat"}
FOLDER/1.jpg      FOLDER/2.jpg          a row for each file, without one: to be asked about
FOLDER/train/…    FOLDER/test/…         parts of these, or of data files: train.csv, test.csv
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofa_instruction import Catalog, InstructionError, OFAWarning, parse_template
from ofa_instruction.syntax import iter_slots
from ofa_modalities.suffixes import ALSO_READ, PICTURES, SUFFIXES

from ofa_trainer.sources.common import DataError, find_file
from ofa_trainer.sources.specs import FolderOptions

COLUMNS = {"IMAGE": "img", "AUDIO": "audio", "VIDEO": "video", "MOTION": "motion"}
"""What the column of a medium is called where no instruction names it."""
MAY_HOLD = (
    "a folder may hold Parquet files, one CSV or JSON lines file, a folder of pictures, sounds, clips or motions for each class"
    " (cat/1.jpg), such files alone, or train, valid and test parts of these"
)
_SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSlots:
    """What the slots of an instruction say of a folder: its only medium, and the column of its only other slot.

    None: there is none, or several.
    """

    modality: str | None = None
    column: str | None = None
    label: str | None = None


def folder_slots(instruction: str, catalog: Catalog) -> FolderSlots:
    """What an instruction says of a folder; nothing where it cannot be parsed."""
    try:
        parsed = parse_template(instruction, catalog=catalog)
    except InstructionError:
        return FolderSlots()  # Compiling it says what is wrong.
    slots = {slot.name: slot.modality for one in parsed for slot in iter_slots((*one.source, *one.target))}
    media = [(modality, name) for name, modality in slots.items() if modality in COLUMNS]
    others = [name for name, modality in slots.items() if modality not in COLUMNS]
    modality, column = media[0] if len(media) == 1 else (None, None)
    return FolderSlots(modality=modality, column=column, label=others[0] if len(others) == 1 else None)


class FolderSource:
    """A row for each media file, in the order of their paths, with the name of its class where the folder has classes.

    ``root`` is the folder. What is no medium is left out, with a warning.
    """

    def __init__(self, path: Path, root: Path, *, modality: str | None, column: str | None, label: str) -> None:
        """Raises DataError where the folder holds no media, or several kinds of them."""
        self.path, self.root = path, root
        files = [Path(place) for place in _files(path)]
        self.modality = modality or _only_kind(files, path)
        suffixes = {*SUFFIXES[self.modality], *ALSO_READ.get(self.modality, ())}
        media = [file for file in files if file.suffix.lower() in suffixes]
        if not media and self.modality == "VIDEO":  # clips as folders of their frames
            media = sorted({file.parent for file in files if file.suffix.lower() in PICTURES and file.parent != path})
            files = list(media)
        if not media:
            raise DataError(f"`{path}` holds no files of {self.modality}; {MAY_HOLD}")
        _tell_others(path, sorted(set(files) - set(media)))
        self._media = media
        self._classes = [file.relative_to(path).parts[0] for file in media] if _has_classes(media, path) else None
        self._column, self._label = column or COLUMNS[self.modality], label
        self.columns = (self._column,) if self._classes is None else (self._column, self._label)

    def __len__(self) -> int:
        return len(self._media)

    def address(self, index: int) -> str:
        """``pictures/cat/1.jpg``."""
        return f"{self.path.name}/{self._media[index].relative_to(self.path).as_posix()}"

    def fingerprint(self) -> str:
        """Digest of the names and sizes of its files."""
        named = [(file.relative_to(self.path).as_posix(), file.stat().st_size) for file in self._media]
        return hashlib.sha256(repr((self.columns, named)).encode("utf-8", "surrogateescape")).hexdigest()

    def column(self, name: str) -> Sequence[object]:
        """All values of one column; None where there is no such column."""
        if name == self._label and self._classes is not None:
            return list(self._classes)
        return [self._value(index) if name == self._column else None for index in range(len(self))]

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row."""
        return zip(*(self.column(name) for name in names), strict=True)

    def _value(self, index: int) -> str:
        return os.path.relpath(self._media[index].absolute(), self.root)

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row: the file's path from the root, and its class."""
        row = {self._column: self._value(index)}
        return row if self._classes is None else row | {self._label: self._classes[index]}


def _files(path: Path) -> Iterator[str]:
    """All files below a folder but hidden ones, in the order of their paths."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith(".") and name != "Thumbs.db")


def _has_classes(media: Sequence[Path], path: Path) -> bool:
    """Whether every file lies in a folder of its class. Raises DataError where some do and some do not."""
    alone = [file for file in media if file.parent == path]
    if alone and len(alone) < len(media):
        raise DataError(f"`{path}`: some files lie in folders of classes and some beside them, such as `{alone[0].name}`")
    return not alone


def _only_kind(files: Sequence[Path], path: Path) -> str:
    kinds = {kind: [file for file in files if file.suffix.lower() in suffixes] for kind, suffixes in SUFFIXES.items()}
    found = [kind for kind, held in kinds.items() if held]
    if len(found) > 1:
        shown = ", ".join(f"{len(kinds[kind])} of {kind}" for kind in found)
        raise DataError(f"`{path}` holds several kinds of files: {shown}; say which with the option `modality` of its source")
    if not found:
        raise DataError(f"`{path}` holds nothing that is read; {MAY_HOLD}")
    return found[0]


def _tell_others(path: Path, others: Sequence[Path]) -> None:
    if others:
        count = f"{len(others)} file{'s are' if len(others) > 1 else ' is'}"
        shown = others[0].relative_to(path)
        warnings.warn(f"`{path}`: {count} left out, no media by the suffix, such as `{shown}`", OFAWarning, stacklevel=2)


def split_parts(path: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The parts of a folder that is split already, by split: sub-folders or data files named train, valid, test and the like.

    Nothing where none is called train: a class may be called ``test``. suffixes: of data files.
    """
    if not path.is_dir():
        return {}
    named = {
        (entry.name if entry.is_dir() else entry.stem).lower(): entry
        for entry in sorted(path.iterdir())
        if entry.is_dir() or entry.suffix.lower() in suffixes
    }
    parts = {split: next((named[name] for name in names if name in named), None) for split, names in _SPLITS.items()}
    found = {split: part for split, part in parts.items() if part is not None}
    return found if "train" in found and len(found) == len(named) else {}


def open_folder(options: FolderOptions, base: Path) -> FolderSource:
    """The source ``folder``. Raises DataError."""
    path, root = find_file(options, base)
    if not path.is_dir():
        raise DataError(f"`{path}` is a file, not a folder")
    return FolderSource(path.absolute(), root, modality=options.modality, column=options.column, label=options.label)
