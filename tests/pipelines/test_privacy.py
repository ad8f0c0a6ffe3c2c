"""No patient's name or id in any table, page, log, file name or traceback: every byte of every output is searched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest
import ray

from medray import storage
from medray.pipelines import index as index_room
from tests.pipelines.road import Finished, here, index, report, score, train

LEAST_LETTERS = 6  # of a patient's name or id: shorter ones stand in any hash by chance
COUNTED_UP = b"12345678"  # a patient's id, and what a dictionary's indices 0x31 to 0x38 look like
IDENTIFYING = ("PatientName", "PatientID")


def _identifiers(archive):
    """Every name and id in the headers of an archive, and `Canary`, lower case."""
    found = {"canary"}
    for path in archive.rglob("*"):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
                values = [str(header.get(name, "")) for name in IDENTIFYING]
            except Exception:
                continue  # broken on purpose
            found |= {value.strip().lower() for value in values if len(value.strip()) >= LEAST_LETTERS}
    return sorted(found)


def _contents(path):
    """The bytes of a file and, of Parquet, its values, schema and statistics without compression; lower case."""
    content = path.read_bytes()
    if content[:4] == b"PAR1":
        table, footer = pq.read_table(path), pq.read_metadata(path).to_dict()
        decoded = (table.to_pylist(), table.schema, table.schema.metadata, footer)
        content = content.replace(COUNTED_UP, b"") + b"".join(repr(part).encode() for part in decoded)
    return content.lower()


def _hits(folder, identifiers):
    """(file, identifier) for each file below a folder that holds one, in its name or its bytes."""
    wanted = [(name, name.encode()) for name in identifiers]
    found = []
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder)).lower()
        content = _contents(path) if path.is_file() else b""
        found += [(name, one) for one, raw in wanted if one in name or raw in content]
    return found


def _said(text, identifiers):
    return [name for name in identifiers if name in text.lower()]


def _apart(root, *flags):
    """A command in a process of its own on the session's Ray, with Ray's own log."""
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "medray.cli", *flags]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=240)
    return Finished(done.returncode, done.stdout, done.stderr)


def _leaking(kind):
    """A worker's error whose text quotes the header: a defect that nobody foresaw."""

    def called(self, run):
        raise ValueError(f"cannot read Canary^phantom-000 of {run.objects[0].uri}")

    return type(f"Leaking{kind.__name__}", (kind,), {"__call__": called})


@pytest.fixture(scope="module")
def canaries(phantoms, tmp_path_factory):
    """The phantom archive where folders and files are called after the patients too; its labels name them."""
    root = tmp_path_factory.mktemp("private")
    shutil.copytree(phantoms, root / "archive")
    for folder in sorted((root / "archive").glob("phantom-0*")):
        folder.rename(folder.with_name(f"Canary^{folder.name}"))
    labels = (root / "archive" / "labels.csv").read_text()
    (root / "archive" / "labels.csv").write_text(labels.replace("\nphantom-", "\nCanary^phantom-"))
    (root / "archive" / "broken" / "Canary^Broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"Canary^Broken" * 30)
    shutil.copy(root / "archive" / "shard-000.tar", root / "archive" / "Canary^Shard.tar")
    return root


@pytest.fixture(scope="module")
def walked(canaries, ray_local):
    """The whole road and runs that fail, in the outputs' folder; what each command printed."""
    root = canaries
    ended = {"index": here(*index(str(root))), "train": here(*train(str(root))), "score": here(*score(str(root)))}
    ended["report"] = here(*report(str(root)))
    ended["fail"] = here(*index(str(root))[:-1], str(root / "report"))
    (root / "foreign.csv").write_text("path,label\nCanary^phantom-000/x.dcm,a\nCanary^phantom-001/y.dcm,b\n")
    foreign = ("--labels.file", str(root / "foreign.csv"), "--out", str(root / "failed"))
    ended["no match"] = here("train", "--source", str(root / "index"), *foreign)
    ended["debug"] = _apart(root, *train(str(root), "--debug")[:-3], "--out", str(root / "debugged"), "--debug")
    ended["debug fails"] = _apart(root, "train", "--source", str(root / "index"), *foreign, "--debug")
    return root, ended


def _outputs(root):
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name != "archive"]


def test_the_search_itself_finds_names_and_ids(canaries):
    identifiers = _identifiers(canaries / "archive")
    assert {"canary", "phantom-000", "canary^phantom-011"} <= set(identifiers)
    assert len(_hits(canaries / "archive", identifiers)) > 48


def test_the_road_ends_well_and_the_failing_runs_do_not(walked):
    codes = {name: done.code for name, done in walked[1].items()}
    assert codes == {"index": 0, "train": 0, "score": 0, "report": 0, "fail": 1, "no match": 1, "debug": 0,
                     "debug fails": 1}, {name: done.text for name, done in walked[1].items()}  # fmt: skip


def test_no_output_names_a_patient(walked):
    root, _ = walked
    identifiers = _identifiers(root / "archive")
    assert {path.name for path in _outputs(root)} >= {"index", "run", "predictions", "report", "debugged"}
    assert {path.name: _hits(path, identifiers) for path in _outputs(root)} == {p.name: [] for p in _outputs(root)}


def test_nothing_printed_names_a_patient_even_in_a_traceback(walked):
    root, ended = walked
    identifiers = _identifiers(root / "archive")
    assert "Traceback" in ended["debug fails"].err
    assert {name: _said(done.text, identifiers) for name, done in ended.items()} == {name: [] for name in ended}


def test_an_unforeseen_error_in_a_worker_names_no_patient(canaries, ray_local, monkeypatch, tmp_path):
    monkeypatch.setattr(index_room, "HeaderReader", _leaking(index_room.HeaderReader))
    done = here("index", "--archive", str(canaries / "archive"), "--out", str(tmp_path / "out"))
    assert done.code == 1 and "A defect of medray: ValueError in units.py" in done.err
    assert _said(done.text, _identifiers(canaries / "archive")) == []


def test_the_log_folder_of_ray_names_no_patient_and_no_key(walked, ray_local, medray_key):
    root, _ = walked
    logs = Path(os.path.realpath(ray_local / "session_latest")) / "logs"
    assert any(logs.rglob("*.log"))
    assert _hits(logs, [*_identifiers(root / "archive"), medray_key.decode()]) == []


@pytest.mark.slow
def test_real_x_rays_leave_no_name_either(archives, ray_local, tmp_path):
    found = archives("pneumonia_dicom")
    chosen = [stored for stored in storage.list_objects(str(found)) if not stored.path.endswith(".csv")][::29]
    lines = (found / "labels.csv").read_text().splitlines()
    kept = {stored.path for stored in chosen}
    for stored in chosen:
        target = tmp_path / "archive" / stored.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found / stored.path, target)
    (tmp_path / "archive" / "labels.csv").write_text(
        "\n".join([lines[0], *[line for line in lines[1:] if any(name in line for name in kept)]])
    )
    commands = index(str(tmp_path)), train(str(tmp_path)), score(str(tmp_path)), report(str(tmp_path))
    said = [here(*command) for command in commands]
    identifiers = _identifiers(tmp_path / "archive")
    assert [done.code for done in said] == [0, 0, 0, 0], [done.text for done in said]
    assert len(identifiers) > 50 and _said("".join(done.text for done in said), identifiers) == []
    assert [_hits(path, identifiers) for path in _outputs(tmp_path)] == [[], [], [], []]
    assert _hits(Path(os.path.realpath(ray_local / "session_latest")) / "logs", identifiers) == []
