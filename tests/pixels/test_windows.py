import numpy as np
import pytest

from medray.errors import SettingsError
from medray.pixels.windows import apply_window


def windowed(values: list[float], center: float, width: float, function="LINEAR") -> list[float]:
    out: list[float] = apply_window(np.array(values, np.float32), float(center), float(width), function).tolist()
    return out


def test_linear_is_the_standards_example() -> None:
    # PS3.3 C.11.2.1.2.1: center 2048, width 4096 maps 0 to 0 and 4095 to the maximum.
    assert windowed([0, 4095, -1, 5000], 2048, 4096) == pytest.approx([0, 1, 0, 1])
    assert windowed([-160, 239, 39.5], 40, 400) == pytest.approx([0, 1, 0.5])


def test_width_one_is_a_threshold() -> None:
    # PS3.3 C.11.2.1.2.1: center 2048, width 1: below 2048 black, from 2048 on white.
    assert windowed([2047, 2047.5, 2048, 9000], 2048, 1) == [0, 0, 1, 1]


def test_center_zero_width_hundred() -> None:
    # PS3.3 C.11.2.1.2.1: x <= -50 is black, x > 49 is white.
    assert windowed([-50, 49, -49, 48], 0, 100) == pytest.approx([0, 1, 1 / 99, 98 / 99], abs=1e-6)


def test_linear_exact_runs_over_the_whole_width() -> None:
    assert windowed([-160, 240, 40, 140], 40, 400, "LINEAR_EXACT") == pytest.approx([0, 1, 0.5, 0.75])
    assert windowed([0.5], 0.5, 0.25, "LINEAR_EXACT") == [0.5]


def test_sigmoid_is_a_half_at_the_center() -> None:
    expected = [0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(4)), 0.0, 1.0]
    values = [40, 240, -360, -1e9, 1e9]
    assert windowed(values, 40, 400, "SIGMOID") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-3, "SIGMOID")])
def test_a_width_that_the_standard_forbids_is_refused(width: float, function) -> None:
    with pytest.raises(SettingsError, match=r"Window Width \(0028,1051\) must be"):
        windowed([1], 40, width, function)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(1e300, 1e300), (0.0, 1e300), (1e300, 2.0), (0.0, float("nan"))])
def test_a_window_that_float32_cannot_hold_is_refused(center: float, width: float, function) -> None:
    with pytest.raises(SettingsError, match="Window Width"):
        windowed([1], center, width, function)


def test_the_values_given_stay_as_they_were() -> None:
    values = np.array([1.0, 2.0], np.float32)
    apply_window(values, 1.0, 2.0)
    assert values.tolist() == [1.0, 2.0]
