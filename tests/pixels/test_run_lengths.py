"""medray/pixels/run_lengths.py."""

import numpy as np
import pytest

from medray.pixels.run_lengths import decode_runs, encode_runs


def test_runs_go_row_by_row_and_over_the_end_of_rows() -> None:
    classes, lengths = encode_runs(np.array([[0, 0, 1], [1, 1, -1]], np.int16))
    assert (classes.tolist(), lengths.tolist()) == ([0, 1, -1], [2, 3, 1])


@pytest.mark.parametrize("shape", [(1, 1), (17, 31), (64, 64), (0, 5)])
def test_decoded_runs_are_the_mask(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(-1, 3, shape).astype(np.int16)
    classes, lengths = encode_runs(mask)
    assert np.array_equal(decode_runs(classes.tolist(), lengths.tolist(), *shape), mask)
    assert (np.diff(classes) != 0).all() and (lengths > 0).all()


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot reshape"):
        decode_runs([0, 1], [3, 4], 2, 4)
