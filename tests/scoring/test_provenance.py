"""What a row says of the code and the machine: equal where they are, different where one of them is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import medray
from medray import __version__
from medray.image_settings import DecodeSettings
from medray.scoring import provenance
from medray.scoring.provenance import code_version, differences, setup_id, setup_of


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one file in a fresh repository; `code()` says its version."""
    folder = tmp_path / "checkout" / "medray"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(medray, "__file__", str(folder / "__init__.py"))
    return folder


def _code():
    return code_version.__wrapped__()


def _git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_checkout_says_its_commit_and_a_changed_one_that_it_is_dirty(package):
    assert _code() == __version__
    _git(package, "init")
    assert _code() == __version__  # it lies in a repository that does not know it, as in an environment's folder
    _git(package, "add", ".")
    _git(package, "commit", "-m", "one")
    clean = _code()
    assert re.fullmatch(re.escape(__version__) + r"\+[0-9a-f]{12}", clean)
    (package.parent / "notes.txt").write_text("beside the package")
    assert _code() == clean
    (package / "__init__.py").write_text("x = 1")
    dirty = _code()
    assert re.fullmatch(re.escape(clean) + r"\.dirty\.[0-9a-f]{8}", dirty)
    (package / "__init__.py").write_text("x = 2")
    assert _code() not in (clean, dirty)


def test_without_git_the_version_stands_alone(package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert _code() == __version__


def test_setups_are_equal_but_for_what_decides_the_bits():
    decode = DecodeSettings()
    assert setup_id(setup_of(64, "cpu", decode)) == setup_id(setup_of(64, "cpu", DecodeSettings()))
    assert len({setup_id(setup_of(size, "cpu", decode)) for size in (1, 2, 64)}) == 3
    assert setup_of(64, "cpu", decode)["libraries"].keys() == {"python", *provenance.LIBRARIES}


def test_differences_name_library_and_cpu_with_both_values():
    now = setup_of(64, "cpu", DecodeSettings())
    then = now | {"cpu": "another", "libraries": now["libraries"] | {"numba": "0.1"}}
    assert differences(now, now) == []
    assert differences(then, now) == [
        f"cpu: another then, {now['cpu']} now",
        f"numba: 0.1 then, {now['libraries']['numba']} now",
    ]
