"""SIGKILL at any moment of packing: no shard is half visible, the next run repairs, and the archive is as it was."""

import hashlib
import random
import tarfile
import time

import pytest

from benchmarks.phantoms import make_phantom_archive
from medray import tables
from tests.pipelines import road
from tests.pipelines.processes import Driver, end
from tests.pipelines.test_pack import assert_stands_for, tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

KILLS = 6


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """An archive of 600 images and its index; their folder."""
    folder = tmp_path_factory.mktemp("pack-kills")
    make_phantom_archive(folder / "archive", images=600, size=96, patients=60)
    done = road.apart("index", "--archive", str(folder / "archive"), "--out", str(folder / "index"))
    assert done.code == 0, done.text
    return folder


def _pack(work, out):
    flags = ("pack", "--index", str(work / "index"), "--out", str(work / out))
    return (*flags, "--shard_bytes", "131072")


def _whole_shards(out):
    """Digests of the shards that a reader sees; each is a whole tar."""
    digests = {}
    for path in (out / "shards").glob("*.tar"):
        with tarfile.open(path) as shard:
            assert shard.getmembers()
        data = path.read_bytes()
        assert len(data) % tarfile.RECORDSIZE == 0 and not any(data[-1024:])
        digests[path.name] = hashlib.sha256(data).hexdigest()
    return digests


def _sums(out):
    lines = (out / "shards" / "SHA256SUMS").read_text().splitlines()
    return dict(reversed(line.split("  ")) for line in lines)


def test_packing_killed_again_and_again_ends_in_the_same_shards(work):
    archive, draw = tree(work / "archive"), random.Random(0)
    whole = road.apart(*_pack(work, "undisturbed"))
    assert whole.code == 0, whole.text
    expected = _sums(work / "undisturbed")
    assert len(expected) > 20
    out = work / "killed"
    for number in range(KILLS):
        before = _whole_shards(out)
        with Driver(*_pack(work, "killed")) as driver:
            more = draw.randint(0, 4)
            driver.wait_until(
                lambda before=before, more=more: len(list(out.glob("shards/*.tar"))) >= len(before) + more
            )
            time.sleep(draw.random() / 5)
            if number % 2:  # the processes that write, in the middle of it; then the one that waits for them
                end([pid for pid, name in driver.below().items() if "ray::" in name][:1])
            driver.kill()
        seen = _whole_shards(out)
        assert seen.keys() >= before.keys()
        assert {name: expected[name] for name in seen} == seen
        assert not (out / tables.MANIFEST).exists()
    done = road.apart(*_pack(work, "killed"))
    assert done.code == 0, done.text
    assert "shards are finished already" in done.err
    assert _whole_shards(out) == expected == _sums(out)
    assert {path.name for path in (out / "shards").iterdir()} == {*expected, "SHA256SUMS"}
    assert_stands_for(out, work / "index")
    assert tree(work / "archive") == archive
