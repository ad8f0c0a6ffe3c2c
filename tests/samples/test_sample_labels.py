"""A label of one object is that of its sample; two different ones are refused."""

import pyarrow as pa
import pytest

from medray.errors import LabelError
from medray.image_settings import SampleRecipe
from medray.samples.frame_sets import SAMPLE_KEY
from medray.samples.sample_labels import with_sample_labels
from tests.samples.test_series_units import index_of

SERIES = SampleRecipe("series")


def _joined(labels, splits=None):
    index = index_of([3, 2])
    column = pa.array(splits or [None] * 5, pa.string())
    return index.append_column("label", pa.array(labels, pa.string())).append_column("split", column)


def test_one_labelled_slice_labels_its_series_and_no_other():
    found = with_sample_labels(_joined([None, "a", None, None, None], [None, "test", None, None, None]), SERIES)
    assert found["label"].to_pylist() == ["a", "a", "a", None, None]
    assert found["split"].to_pylist() == ["test", "test", "test", None, None]
    assert found[SAMPLE_KEY].equals(found["series_key"])


def test_two_labels_of_one_series_are_refused_with_the_cure():
    with pytest.raises(LabelError, match=r"1 samples .* different labels.*series_instance_uid"):
        with_sample_labels(_joined(["a", "b", None, "b", "b"]), SERIES)


def test_the_patient_of_the_labels_is_that_of_the_whole_series():
    joined = _joined(["a", None, None, None, None])
    patients = pa.array(["zz", "p0", "p0", "p1", "p1"])
    joined = joined.set_column(joined.column_names.index("patient_key"), "patient_key", patients)
    assert with_sample_labels(joined, SERIES)["patient_key"].to_pylist() == ["zz", "zz", "zz", "p1", "p1"]


def test_frames_keep_their_own_labels():
    joined = _joined(["a", "b", None, None, None])
    assert with_sample_labels(joined, SampleRecipe()) is joined
