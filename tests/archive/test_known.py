"""Known objects: exact answers from 17 bytes an object."""

import pyarrow as pa

from medray.archive.known import KnownObjects


def rows(*pairs):
    return pa.table(
        {"uri": pa.array([u for u, _ in pairs], pa.string()), "etag": pa.array([e for _, e in pairs], pa.string())}
    )


def test_an_object_is_known_with_its_own_entity_tag_only():
    known = KnownObjects([rows(("a", "1"), ("b", None)), rows(("c.tar", "3"), ("c.tar", "3"))])
    assert [known.meet(*pair) for pair in [("a", "1"), ("a", "2"), ("b", None), ("b", "None "), ("d", "1")]] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert known.met.sum() == 2 and not known.met.all()
    assert known.stays(rows(("c.tar", "3"), ("a", "1"), ("a", "2"), ("b", None))).tolist() == [False, True, False, True]
    assert known.meet("c.tar", "3") and known.met.all()


def test_nothing_is_known_of_no_index():
    known = KnownObjects()
    assert not known.meet("a", "1")
    assert known.stays(rows(("a", "1"))).tolist() == [False]


def test_a_hundred_thousand_objects_take_17_bytes_each_and_none_is_mistaken():
    names = [f"s3://bucket/study-{number % 97}/{number}" for number in range(100_000)]
    known = KnownObjects([rows(*((name, "1") for name in names[:50_000]))])
    assert known.digests.nbytes + known.met.nbytes == 17 * 50_000
    assert [known.meet(name, "1") for name in names] == [True] * 50_000 + [False] * 50_000
