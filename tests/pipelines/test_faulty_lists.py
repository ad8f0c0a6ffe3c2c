"""Lists that are behind what was written: a unit may be done again, and no row is lost or doubled."""

import pytest

from medray import storage, tables
from medray.errors import OutputError
from tests.faulty_proxy import FaultyProxy
from tests.pipelines import road


@pytest.fixture
def proxy(moto_server, monkeypatch, fresh_client):
    """A proxy in front of moto, and on the way of this process alone; the workers of Ray see the store itself."""
    with FaultyProxy(moto_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        storage._filesystem.cache_clear()
        yield proxy


@pytest.fixture
def archive(moto_server, ray_local, phantoms):
    """Twelve objects of the phantom archive on moto; their root."""
    root = f"{moto_server.uri}/lists"
    storage.delete(root)
    for number, path in enumerate(sorted(phantoms.glob("phantom-*/*"))[:12]):
        storage.write_bytes(f"{root}/archive/{number:02d}.dcm", path.read_bytes())
    return root


def _index(root, out="index"):
    return road.here("index", "--archive", f"{root}/archive", "--out", f"{root}/{out}", "--objects_per_task", "3")


def _rows(uri):
    return tables.read_table(uri).sort_by("object_id").to_pylist()


def _interrupted(root, monkeypatch):
    """An index whose job ended after all of its part files, before its table."""

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tables, "finish", killed)
        assert _index(root).code != 0
    return sorted(storage.names(f"{root}/index/{tables.PARTS}"))


def test_parts_that_a_list_forgets_are_done_again_and_no_row_is_doubled(archive, proxy, monkeypatch):
    assert _index(archive, "undisturbed").code == 0
    parts = _interrupted(archive, monkeypatch)
    assert len(parts) == 4
    before = {item.uri: item.etag for item in storage.list_objects(f"{archive}/index/{tables.PARTS}")}
    proxy.hidden = tuple(parts[:2])
    assert len(tables.finished_parts(f"{archive}/index")) == 2
    done = []
    finish = tables.finish

    def looked_at(uri, *more, **facts):
        proxy.hidden = ()
        done.append({item.uri: item.etag for item in storage.list_objects(f"{archive}/index/{tables.PARTS}")})
        return finish(uri, *more, **facts)

    monkeypatch.setattr(tables, "finish", looked_at)
    assert _index(archive).code == 0
    assert done == [before]  # the same names, the same bytes
    assert _rows(f"{archive}/index") == _rows(f"{archive}/undisturbed")


def test_a_part_that_a_list_invents_ends_the_job_and_the_next_one_makes_it(archive, proxy, monkeypatch):
    assert _index(archive, "undisturbed").code == 0
    (first, *_) = _interrupted(archive, monkeypatch)
    names = storage.names
    storage.delete(f"{archive}/index/{tables.PARTS}/{first}")
    stale = [*names(f"{archive}/index/{tables.PARTS}"), first]
    with monkeypatch.context() as patch:
        patch.setattr(storage, "names", lambda uri: stale if uri.endswith(tables.PARTS) else names(uri))
        done = _index(archive)
    assert done.code == 1 and "does not exist (NoSuchKey)" in done.err
    assert not storage.exists(f"{archive}/index/{tables.MANIFEST}")
    assert _index(archive).code == 0
    assert _rows(f"{archive}/index") == _rows(f"{archive}/undisturbed")


def test_a_list_that_forgets_run_and_manifest_starts_no_other_job_in_their_folder(archive, proxy):
    assert _index(archive).code == 0
    proxy.hidden = (tables.RUN, tables.MANIFEST, ".parquet")
    assert storage.names(f"{archive}/index") == []
    assert "up to date" in _index(archive).err
    with pytest.raises(OutputError, match="was made with other settings"):
        tables.claim(f"{archive}/index", {"job": "another"})


def test_an_object_that_a_list_forgets_has_its_row_after_the_next_index(archive, proxy):
    proxy.hidden = ("/archive/03.dcm",)
    assert _index(archive).code == 0
    assert len(_rows(f"{archive}/index")) == 11
    proxy.hidden = ()
    assert _index(archive).code == 0
    assert len(_rows(f"{archive}/index")) == 12
