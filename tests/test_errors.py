"""The tree of errors: it is what its docstring draws, and it survives the way between processes."""

import inspect
import pickle
import re

import pytest

from medray import errors
from medray.errors import LabelError, LeakError, MedrayError, Reason, SampleError, StorageError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MedrayError)]


def test_the_drawn_tree_is_the_real_one():
    drawn, parents = {}, list[str]()
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^([ │├└─]*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            parents = [*parents[:depth], found[2]]
            drawn[found[2]] = parents[-2] if depth > 1 else "MedrayError"
    drawn["MedrayError"] = "Exception"
    assert drawn == {kind.__name__: kind.__mro__[1].__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_comes_back_equal_from_another_process(kind):
    error = kind(Reason.DECODE_FAILED, "row 3") if kind is SampleError else kind("what is wrong.", "The cure.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_an_error_is_one_line_what_then_the_cure():
    assert str(StorageError("s3://b cannot be read (503).", "Try later.")) == "s3://b cannot be read (503). Try later."
    assert str(LeakError("p is on two sides.")) == "p is on two sides."
    assert isinstance(LeakError(""), LabelError)


def test_a_sample_error_starts_with_its_reason():
    assert str(SampleError(Reason.FRAME_MISSING, "2 of 3")) == "frame_missing: 2 of 3"
    assert str(SampleError(Reason.FRAME_MISSING)) == "frame_missing"


def test_reasons_are_lower_case_words():
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", reason) for reason in Reason)
    assert len({reason.value for reason in Reason}) == len(Reason)
