import hashlib

from benchmarks.mutants import CONTAINER_EVERY, WOUNDS, mutant
from benchmarks.originals import originals
from medray.archive.headers import read_header
from medray.archive.rows import INDEX_TAGS
from medray.pixels.codecs import TRANSFER_SYNTAXES

FILES = originals()
FIRST = [mutant(FILES, number) for number in range(2 * CONTAINER_EVERY)]


def test_the_originals_have_every_transfer_syntax():
    headers = [read_header(data, whole=True, wanted=INDEX_TAGS) for data in FILES.values() if data[128:132] == b"DICM"]
    assert TRANSFER_SYNTAXES.keys() <= {header.transfer_syntax_uid for header in headers}


def test_a_number_gives_the_same_mutant_whatever_came_before():
    assert mutant(FILES, 7).data == FIRST[7].data
    assert mutant(FILES, 7, seed=1).data != FIRST[7].data


def test_most_mutants_differ_from_their_originals_and_from_each_other():
    changed = [each for each in FIRST if each.data != FILES.get(each.original)]
    assert len(changed) > 0.85 * len(FIRST)
    assert len({hashlib.sha256(each.data).digest() for each in FIRST}) > 0.9 * len(FIRST)


def test_every_kind_of_wound_is_drawn():
    drawn = {kind for each in FIRST for kind in each.wounds}
    assert drawn == {*WOUNDS, "transplant"}
    assert [each.number for each in FIRST if each.original == "container"] == [99, 199]
