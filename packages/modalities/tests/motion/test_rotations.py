"""Every way to write a rotation comes back as the same rotation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.motion import rotations as ro

ANGLE = st.floats(-np.pi, np.pi)
ANGLES = st.tuples(ANGLE, st.one_of(ANGLE, st.sampled_from([np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-9, 1e-12, np.pi])), ANGLE)
NUMBER = st.floats(-1e6, 1e6, allow_subnormal=False)


def matrix(angles: tuple[float, float, float]) -> np.ndarray:
    return ro.euler_to_matrices((2, 0, 1), angles)


@given(ANGLES)
def test_euler_angles_give_the_rotation_back_the_gimbal_lock_included(angles: tuple[float, float, float]) -> None:
    true = matrix(angles)
    again = ro.euler_to_matrices((2, 0, 1), ro.matrices_to_euler_zxy(true))
    assert np.degrees(ro.angles_between(true, again)) < 1e-6


@given(ANGLES)
def test_six_numbers_quaternions_and_axis_angles_give_the_rotation_back(angles: tuple[float, float, float]) -> None:
    true = matrix(angles)
    quaternion = ro.matrices_to_quaternions(true)
    assert quaternion[0] >= 0
    half = np.arccos(min(1.0, quaternion[0]))
    axis_angle = quaternion[1:] * (2 / np.sinc(half / np.pi))
    for again in (
        ro.six_to_matrices(ro.matrices_to_six(true)),
        ro.quaternions_to_matrices(quaternion),
        ro.axis_angles_to_matrices(axis_angle),
    ):
        assert np.degrees(ro.angles_between(true, again)) < 1e-5


@given(st.lists(st.one_of(NUMBER, st.just(0.0), st.just(1.0)), min_size=6, max_size=6))
def test_any_six_numbers_are_a_rotation(numbers: list[float]) -> None:
    found = ro.six_to_matrices(numbers)
    assert np.allclose(found @ found.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found) == pytest.approx(1)


@given(ANGLES, ANGLES, st.floats(0, 1))
def test_slerp_turns_evenly_along_the_shorter_way(
    one: tuple[float, float, float], other: tuple[float, float, float], share: float
) -> None:
    first, second = matrix(one), matrix(other)
    between = ro.quaternions_to_matrices(ro.slerp(ro.matrices_to_quaternions(first), ro.matrices_to_quaternions(second), share))
    whole = float(ro.angles_between(first, second))
    assert float(ro.angles_between(first, between)) == pytest.approx(share * whole, abs=1e-6)
    assert float(ro.angles_between(between, second)) == pytest.approx((1 - share) * whole, abs=1e-6)


@given(ANGLES, st.floats(-3, 3), st.sampled_from([1, 2]))
def test_turning_adds_to_the_heading(angles: tuple[float, float, float], by: float, up: int) -> None:
    true = matrix(angles)
    before, after = ro.headings(true, up), ro.headings(ro.turn(up, by) @ true, up)
    quaternion = ro.matrices_to_quaternions(true)
    if np.hypot(quaternion[0], quaternion[1 + up]) < 1e-3:
        return  # upside down: no heading
    assert np.cos(after - before - by) == pytest.approx(1, abs=1e-9)


def test_euler_channels_multiply_in_their_order() -> None:
    x, y = ro.turn(0, 0.3), ro.turn(1, 0.7)
    assert np.allclose(ro.euler_to_matrices((0, 1), [0.3, 0.7]), x @ y)
    assert np.allclose(ro.turn(2, np.pi / 2) @ [1, 0, 0], [0, 1, 0])
