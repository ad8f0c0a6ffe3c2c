"""Bad input ends with one clear line and exit code 1, before Ray starts, and leaves nothing that looks finished."""

import errno
import json
import os
import re
import shutil
import time

import pytest

from medray import storage, tables
from medray.errors import OutputError
from medray.pipelines import cache, index, pack, ranks, score, scorer, train
from tests.pipelines.road import here

OTHER_KEY = "another-key-0123456789"
SECONDS_OF_WORK = 5.0


@pytest.fixture
def no_ray(monkeypatch):
    """Fail where a job gets as far as Ray."""

    def started(*_, **__):
        raise AssertionError

    for module in (index, train, score, pack):
        monkeypatch.setattr(module, "cluster", started)


@pytest.fixture
def places(indexed, trained, scored, phantoms, tmp_path):
    """What the commands below name: `{index}`, `{bundle}` … good ones and bad ones."""
    bundle = trained / "bundles" / "seed-0"
    found = {"archive": phantoms, "index": indexed, "bundle": bundle, "predictions": scored}
    found |= {"labels": phantoms / "labels.csv", "out": tmp_path / "out", "taken": tmp_path / "taken"}
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    shutil.copytree(indexed, tmp_path / "unfinished")
    (tmp_path / "unfinished" / tables.MANIFEST).unlink()
    for name, content in _LABELS.items():
        (tmp_path / f"{name}.csv").write_text(content)
    for name in ("newer", "damaged"):
        shutil.copytree(bundle, tmp_path / name)
    content = json.loads((bundle / "bundle.json").read_text())
    (tmp_path / "newer" / "bundle.json").write_text(json.dumps(content | {"format_version": 99}))
    (tmp_path / "damaged" / "weights.safetensors").write_bytes(b"\0" * 1000)
    return {name: str(path) for name, path in found.items()} | {"here": str(tmp_path)}


_LABELS = {
    "foreign": "path,label\nnowhere/1.dcm,a\nnowhere/2.dcm,b\n",
    "picture": "\x89PNG\r\n\x1a\n\0\0",
    "single": "patient_id,label\n" + "".join(f"phantom-{n:03d},{'rare' if n == 5 else 'plain'}\n" for n in range(12)),
    "lonely": "patient_id,label\n" + "".join(f"phantom-{n:03d},plain\n" for n in range(12)),
}
INDEX = "index --out {out} --archive"
TRAIN = "train --source {index} --out {out} --labels.file"
SCORE = "score --source {index} --out {out} --bundle"
REPORT = "report --predictions {predictions} --out {out} --split all --labels.file"
CASES = {
    "an archive that is not there": (INDEX + " {here}/nowhere", "nowhere does not exist"),
    "an empty archive": (INDEX + " {here}/empty", "holds no objects"),
    "a storage that does not exist": (INDEX + " gopher://a/b", "no storage that medray can read"),
    "no archive to train on": ("train --source {here}/nowhere --out {out}", "nowhere does not exist"),
    "an empty archive to score": ("score --source {here}/empty --out {out} --bundle {bundle}", "holds no objects"),
    "labels that are not there": (TRAIN + " {here}/none.csv", "none.csv does not exist"),
    "labels that match nothing": (TRAIN + " {here}/foreign.csv", "None of the 2 labels matches"),
    "labels that are no table": (TRAIN + " {here}/picture.csv", "The labels"),
    "a class with one patient": (TRAIN + " {here}/single.csv", "rare"),
    "a single class": (TRAIN + " {here}/lonely.csv", "plain"),
    "an unknown column of labels": (TRAIN + " {labels} --labels.column grade", "no column 'grade'"),
    "an unknown column of the index": (TRAIN + ' {labels} --labels.where {{"vendor":"x"}}', "no column 'vendor'"),
    "a choice that leaves nothing": (
        TRAIN + ' {labels} --labels.where {{"modality":"XX"}}',
        "No image of the index is left",
    ),
    "training on predictions": ("train --source {predictions} --out {out}", "is a table of predictions"),
    "an unfinished index": ("train --source {here}/unfinished --out {out}", "is not finished"),
    "a bundle that is not there": (SCORE + " {here}/nowhere", "holds no finished bundle"),
    "a bundle of another version": (SCORE + " {here}/newer", "bundle format 99; this medray reads 1"),
    "a damaged bundle": (SCORE + " {here}/damaged", "its hash differs"),
    "an archive to pack": ("pack --index {archive} --out {out}", "holds no medray table"),
    "an archive to report on": ("report --predictions {archive} --out {out}", "holds no medray table"),
    "labels of other samples": (REPORT + " {here}/foreign.csv", "None of the 2 labels matches"),
    "an unknown column to report on": (REPORT + " {labels} --labels.column grade", "no column 'grade'"),
    "predictions to verify": ("score --verify {here}/empty", "holds no medray table"),
}
TAKEN = {
    "index": "index --archive {archive} --out {taken}",
    "train": "train --source {index} --labels.file {labels} --out {taken}",
    "score": "score --source {index} --bundle {bundle} --out {taken}",
    "pack": "pack --index {index} --out {taken}",
    "report": "report --predictions {predictions} --out {taken} --labels.file {labels} --split all",
}


def _refused(command, places, *, at_once=True):
    """Run a command that must end with code 1 and one line, the only one where it did no work; the line."""
    flags = [flag.format(**places) for flag in command.split()]
    started = time.process_time()
    ended = here(*flags)
    assert ended.code == 1, ended.text
    *before, said = ended.err.splitlines()
    assert re.fullmatch(rf"medray {flags[0]}: .+\.", said) and "defect" not in said and ended.out == "", ended.text
    assert not at_once or (before == [] and time.process_time() - started < SECONDS_OF_WORK), ended.err
    return said


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_line_and_writes_nothing(name, places, no_ray):
    command, said = CASES[name]
    assert said in _refused(command, places)
    with pytest.raises(OutputError):
        tables.read_manifest(places["out"])
    if not command.startswith("report"):
        assert not os.path.exists(places["out"])


@pytest.mark.parametrize("verb", TAKEN)
def test_an_output_that_exists_is_left_as_it_is(verb, places, no_ray):
    assert "exists and is no output of this job" in _refused(TAKEN[verb], places)
    assert storage.names(places["taken"]) == ["thesis.txt"]


@pytest.mark.parametrize("verb", ["train", "score", "pack"])
def test_an_index_made_with_another_key_is_refused(verb, places, no_ray, monkeypatch):
    monkeypatch.setenv("MEDRAY_KEY", OTHER_KEY)
    command = TAKEN[verb].replace("{taken}", "{out}")
    assert "was made with another key" in _refused(command, places)
    assert not os.path.exists(places["out"])


def test_an_index_is_not_brought_up_to_date_with_another_key(places, no_ray, monkeypatch):
    monkeypatch.setenv("MEDRAY_KEY", OTHER_KEY)
    assert "(key differ)" in _refused("index --archive {archive} --out {index}", places)


def test_a_short_key_is_refused(places, no_ray, monkeypatch):
    monkeypatch.setenv("MEDRAY_KEY", "hunter2")
    said = _refused(INDEX + " {archive}", places)
    assert "holds a key of 7 bytes" in said and "hunter2" not in said


def test_a_corrected_command_may_use_the_folder_of_the_one_refused(places):
    shutil.copytree(places["archive"] + "/broken", places["here"] + "/some")
    _refused(INDEX + " {here}/empty", places)
    assert here("index", "--archive", places["here"] + "/some", "--out", places["out"]).code == 0


def test_a_disk_that_is_full_at_the_start_leaves_nothing(places, no_ray, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    assert "No space is left to write" in _refused(INDEX + " {archive}", places)
    assert storage.names(places["out"]) == []


def _limited(work):
    """The same work, in whatever process, where no file may grow beyond 100 bytes: the kernel refuses the write."""

    def called(self, *given):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            return work.__call__(self, *given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return type(f"Limited{work.__name__}", (work,), {"__call__": called})


@pytest.mark.parametrize(
    ("module", "work", "command"),
    [
        (index, "HeaderReader", INDEX + " {archive}"),
        pytest.param(
            *(cache, "CacheWriter", TRAIN + " {labels} --recipe.size 28 --optimizer.epochs 1"), marks=pytest.mark.slow
        ),
        pytest.param(*(scorer, "Scorer", SCORE + " {bundle}"), marks=pytest.mark.slow),
        (pack, "ShardWriter", "pack --index {index} --out {out}"),
    ],
    ids=["index", "train", "score", "pack"],
)
def test_a_disk_that_fills_up_ends_the_job_and_the_same_command_goes_on(module, work, command, places, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, work, _limited(getattr(module, work)))
        assert "No space is left to write" in _refused(command, places, at_once=False)
    with pytest.raises(OutputError, match="is not finished"):
        tables.read_manifest(places["out"])
    assert here(*[flag.format(**places) for flag in command.split()]).code == 0
    assert tables.read_manifest(places["out"])["rows"] > 0


def test_a_disk_that_fills_up_while_training_keeps_the_last_checkpoint(places, monkeypatch):
    save, epochs = ranks.save_checkpoint, []

    def full(folder, state):
        epochs.append(state["epoch"])
        if len(epochs) == 2:
            raise storage.translated(OSError(errno.ENOSPC, "No space left on device"), folder)
        return save(folder, state)

    command = TRAIN + " {labels} --recipe.size 28 --optimizer.epochs 3"
    with monkeypatch.context() as patch:
        patch.setattr(ranks, "save_checkpoint", full)
        flags = [flag.format(**places) for flag in command.split()]
        ended = here(*flags, "--ray.max_retries", "0")
        assert ended.code == 1 and "No space is left to write" in ended.err.splitlines()[-1]
    again = here(*flags)
    assert again.code == 0 and "seed 0 goes on after epoch 1" in again.err
