import numpy as np
import pytest

from medray.pixels.geometry import GeometryStatus, describe_steps, slice_normal, tolerance_mm

UP = np.array([0.0, 0.0, 1.0])


def along_z(*heights: float) -> np.ndarray:
    return np.array([[0.0, 0.0, height] for height in heights])


def test_the_normal_is_rows_times_columns_and_a_unit_vector() -> None:
    assert slice_normal((1.0, 0.0, 0.0, 0.0, 1.0, 0.0)).tolist() == [0, 0, 1]
    assert slice_normal((0.0, 1.0, 0.0, 0.0, 0.0, -1.0)).tolist() == [-1, 0, 0]
    assert np.linalg.norm(slice_normal((0.7, 0.7, 0.0, 0.0, 0.1, -0.9))) == pytest.approx(1.0)


def test_the_tolerance_is_one_per_cent_and_a_hundredth_of_a_millimetre_at_the_least() -> None:
    assert [tolerance_mm(spacing) for spacing in (0.2, 1.0, 5.0)] == [0.01, 0.01, 0.05]


@pytest.mark.parametrize("lost", range(1, 9))
def test_each_missing_slice_is_counted(lost: int) -> None:
    steps = describe_steps(along_z(*(3.0 * index for index in range(10) if index != lost)), UP)
    assert (steps.status, steps.missing, steps.spacing_mm, steps.step_mm) == (GeometryStatus.GAP, 1, 3.0, None)


def test_a_gap_among_three_slices_is_one_on_either_side() -> None:
    for heights in ((0, 2.5, 7.5), (0, 5, 7.5)):
        steps = describe_steps(along_z(*heights), UP)
        assert (steps.status, steps.missing, steps.spacing_mm) == (GeometryStatus.GAP, 1, 2.5)


def test_gaps_of_several_slices_add_up() -> None:
    steps = describe_steps(along_z(0, 1, 2, 5, 6, 7, 9), UP)
    assert (steps.status, steps.missing) == (GeometryStatus.GAP, 3)


def test_jitter_within_tolerance_averages_to_the_step_between_the_ends() -> None:
    steps = describe_steps(along_z(0.0, 5.02, 9.99, 15.0), UP)
    assert (steps.status, steps.step_mm.tolist()) == (GeometryStatus.REGULAR, [0.0, 0.0, 5.0])


def test_turning_the_patient_changes_no_status() -> None:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    for positions in (
        along_z(0, 2, 4),
        along_z(0, 2, 6, 8),
        along_z(0, 2, 5, 7),
        np.array([[0, 0, 0], [0, 1, 2], [0, 2, 4.0]]),
    ):
        steps, turned = describe_steps(positions, UP), describe_steps(positions @ turn.T, turn @ UP)
        assert (steps.status, steps.missing) == (turned.status, turned.missing)
