"""Arrays by name, npz files, and what else stands for a motion."""

from __future__ import annotations

import base64
import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_modalities import SampleError
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.motion.rotations import angles_between, matrices_to_quaternions


def arrays(motion: Motion, **changes: Any) -> dict[str, Any]:
    skeleton = motion.skeleton
    found = {
        "rotations": motion.rotations,
        "root_position": motion.root_position,
        "parents": skeleton.parents,
        "offsets": skeleton.offsets,
        "names": list(skeleton.names),
        "fps": motion.fps,
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def npz(**values: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **values)
    return content.getvalue()


def equal(one: Motion, other: Motion, degrees: float = 1e-9) -> bool:
    return (
        one.skeleton.names == other.skeleton.names
        and one.fps == other.fps
        and np.degrees(angles_between(one.rotations, other.rotations)).max() < degrees
        and np.allclose(one.root_position, other.root_position)
    )


def test_an_npz_file_comes_back_as_it_was(walk: Motion, tmp_path: Path) -> None:
    again = Motion.load(walk.save(tmp_path / "walk.npz"))
    assert np.array_equal(again.rotations, walk.rotations)
    assert np.array_equal(again.root_position, walk.root_position)
    assert np.array_equal(again.skeleton.end_offsets, walk.skeleton.end_offsets)
    assert (again.fps, again.up, again.skeleton.names) == (walk.fps, walk.up, walk.skeleton.names)


def test_matrices_quaternions_axis_angles_and_lists_are_read(walk: Motion) -> None:
    quaternions = matrices_to_quaternions(walk.rotations)
    half = np.arccos(np.clip(quaternions[..., :1], -1, 1))
    vectors = quaternions[..., 1:] * (2 / np.sinc(half / np.pi))
    for turns in (walk.rotations, quaternions, -quaternions, vectors, quaternions.tolist()):
        assert equal(read_motion(arrays(walk, rotations=turns)), walk, 1e-5)
    assert equal(read_motion(arrays(walk, rotations=walk.rotations.astype(np.float32))), walk, 1e-4)


def test_a_path_bytes_base64_a_uri_and_a_motion_stand_for_it(walk: Motion, tmp_path: Path) -> None:
    path = walk.save(tmp_path / "walk.npz")
    content = path.read_bytes()
    text = base64.b64encode(content).decode()
    for value in (path, str(path), content, text, f"data:application/zip;base64,{text}", {"bytes": content, "path": None}, walk):
        assert equal(read_motion(value), walk)
    assert equal(read_motion(walk.to_plain()["bvh"]), walk, 1e-4)
    wrong = tmp_path / "walk.bvh"
    wrong.write_bytes(content)
    assert equal(Motion.load(wrong), walk)


def test_a_path_stays_inside_its_root(walk: Motion, tmp_path: Path) -> None:
    walk.save(tmp_path / "walk.npz")
    (tmp_path / "data").mkdir()
    with pytest.raises(SampleError, match="outside the data root"):
        read_motion("../walk.npz", root=tmp_path / "data")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"fps": None, "parents": None}, "missing: parents fps"),
        ({"rotations": np.zeros((30, 6, 5))}, r"\[T, J, 3, 3\], \[T, J, 4\] or \[T, J, 3\]"),
        ({"rotations": np.zeros((30, 6, 4))}, "length is not 1"),
        ({"rotations": np.zeros((30, 6, 3, 3))}, "no rotations"),
        ({"rotations": np.full((30, 6, 3), np.nan)}, "frame 0 is not finite"),
        ({"rotations": np.zeros((0, 6, 3))}, "0 frames"),
        ({"rotations": np.zeros((30, 5, 3))}, "6 joints"),
        ({"rotations": np.zeros((30, 1000, 3))}, "of 1 to 512"),
        ({"rotations": [[1, 2], [3]]}, "differ in length"),
        ({"rotations": "left"}, "not"),
        ({"root_position": np.zeros((29, 3))}, r"is \[30, 3\]"),
        ({"root_position": np.full((30, 3), np.inf)}, "not finite"),
        ({"parents": [-1, 2, 1, 0, 0, 0]}, "in a circle"),
        ({"parents": [-1, 1, 1, 0, 0, 0]}, "in a circle"),
        ({"parents": [-1, -1, 1, 0, 0, 0]}, "one root"),
        ({"parents": [0.5] * 6}, "whole numbers"),
        ({"offsets": np.zeros((5, 3))}, "offsets"),
        ({"names": ["hips"] * 6}, "two joints are named"),
        ({"names": ["a\nb", *"cdefg"]}, "no name of a joint"),
        ({"fps": 0}, "frames a second"),
        ({"fps": [20, 20]}, "size"),
        ({"up": "x"}, "y or z"),
    ],
)
def test_broken_arrays_say_what_is_wrong(walk: Motion, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(SampleError, match=match):
        read_motion(arrays(walk, **changes), "moves")


@pytest.mark.parametrize("value", [None, 3, "", "no such file.bvh", b"PK\x03\x04", b"RIFF....", {}, {"frames": 1}, ["a"]])
def test_what_is_no_motion_is_refused(value: object) -> None:
    with pytest.raises(SampleError) as caught:
        read_motion(value, "moves")
    assert caught.value.column == "moves"


def test_objects_are_not_unpickled(walk: Motion) -> None:
    content = npz(**arrays(walk, names=np.array(list(walk.skeleton.names), object)))
    with pytest.raises(SampleError, match="Python objects"):
        read_motion(content)


def test_an_array_that_says_more_than_its_file_holds_is_refused_unread(walk: Motion) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 6, 3, 3)})
    short = header.getvalue().replace(b"10000000", b"30      ")
    for head, match in ((header.getvalue(), "at most"), (short, "cut off or broken")):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("rotations.npy", head + bytes(8))
        with pytest.raises(SampleError, match=match):
            read_motion(content.getvalue())


def test_a_bomb_is_refused_unpacked_to_its_limit(walk: Motion) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays(walk, rotations=np.zeros((200_000, 6, 3), np.float32)))
    assert len(content.getvalue()) < 100_000
    with pytest.raises(SampleError, match="at most 300,000 numbers"):
        read_motion(content.getvalue(), max_numbers=100_000)
    with pytest.raises(SampleError, match="holds 100 arrays"):
        read_motion(npz(**{f"a{number}": 1 for number in range(100)}))


def entry(name: str, descr: object, shape: tuple[int, ...], content: bytes) -> bytes:
    """An npz file of one array, its header as it is said."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "descr", "shape", "match"),
    [
        ("rotations", "|S4096", (10_000,), "not numbers"),
        ("root_position", "|V4096", (10_000,), "not numbers"),
        ("offsets", ("<f8", (2,)), (3,), "not numbers"),
        ("rotations", "<f8", (-1,), "not numbers"),
        ("names", "|S4096", (10_000,), "at most 512 texts"),
        ("names", "|S40960000", (1,), "at most 2,097,152 bytes"),
        ("names", "|S0", (3,), "no array"),
        ("parents", "<i8", (5_000_000,), "at most 512 numbers"),
        ("offsets", "<f8", (5_000_000,), "at most 1,536 numbers"),
        ("up", "<U1", (2,), "at most 1 texts"),
        ("root_position", "<f8", (0, 10**30), "no array"),
    ],
)
def test_an_array_is_of_its_kind_and_size_before_it_is_unpacked(
    name: str, descr: object, shape: tuple[int, ...], match: str
) -> None:
    content = entry(name, descr, shape, bytes(40_960_000) if match != "no array" else b"")
    tracemalloc.start()
    try:
        with pytest.raises(SampleError, match=match):
            read_motion(content)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_header_is_measured_before_it_is_unpacked() -> None:
    for version, width, length in ((1, 2, 60_000), (2, 4, 40_000_000)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            head = b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(width, "little")
            archive.writestr("rotations.npy", head + bytes(length))
        content = file.getvalue()
        tracemalloc.start()
        try:
            with pytest.raises(SampleError, match=f"header of `rotations` has {length:,} bytes; at most 10,000 are read"):
                read_motion(content)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()


def test_a_header_of_the_second_format_is_read(walk: Motion) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays(walk).items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.asarray(value), version=(2, 0))
    assert equal(read_motion(file.getvalue()), walk)


def test_long_floats_are_bounded_by_their_bytes(walk: Motion) -> None:
    long = npz(**arrays(walk, rotations=walk.rotations.astype(np.longdouble), fps=np.longdouble(walk.fps)))
    assert equal(read_motion(long), walk)
    numbers = 3 * walk.num_frames * walk.skeleton.num_joints
    with pytest.raises(SampleError, match=f"at most {8 * 3 * numbers:,} bytes"):
        read_motion(long, max_numbers=numbers)


def test_a_broken_archive_is_refused(walk: Motion, tmp_path: Path) -> None:
    content = walk.save(tmp_path / "walk.npz").read_bytes()
    for broken in (content[: len(content) // 2], content[:100] + bytes(200) + content[300:]):
        with pytest.raises(SampleError):
            read_motion(broken)


@pytest.mark.parametrize("fps", [1e-300, 5e-324, 1e-5])
def test_a_clip_that_lasts_for_ever_is_an_error_before_it_is_resampled(fps) -> None:
    from ofa_modalities.motion.processor import _read
    from ofa_modalities.motion.spec import MotionOptions

    arrays = {"rotations": np.zeros((3, 2, 3)), "root_position": np.zeros((3, 3)), "parents": [-1, 0], "offsets": np.ones((2, 3))}
    with pytest.raises(SampleError, match="max_numbers"):
        _read({**arrays, "fps": fps}, "motion", MotionOptions(fps=30), None, frozenset())
