"""docs/tutorial.md runs as it stands."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"


@pytest.mark.slow
def test_the_tutorial_runs_and_its_classifier_is_better_than_the_commoner_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec("\n".join(blocks), {"__name__": "tutorial"})
    share = float(capsys.readouterr().out.split()[0])
    assert share >= 0.75
    assert (tmp_path / "tutorial.png").stat().st_size > 10_000
