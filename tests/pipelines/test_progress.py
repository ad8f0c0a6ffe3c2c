"""One bar on a terminal, few lines in a log, and the truth in both."""

import io
import sys

import pytest

from medray.pipelines.progress import Progress
from tests.pipelines.test_tally import Hands, unit


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watched(hands, rows, *, total, pause, step=None):
    """The lines that a job of these ledger rows prints; `pause` seconds lie between them."""

    def coming():
        for row in rows:
            hands.now += pause
            yield row

    list(Progress("score", clock=hands).over(coming(), total=total, step=step))


def test_lines_of_a_log_come_ever_more_rarely_and_about_forty_in_the_first_hour(capsys):
    hands = Hands()
    watched(hands, [unit()] * 3600 * 3, total=3600 * 3, pause=1)
    lines = capsys.readouterr().err.splitlines()
    assert 4 + 29 + 6 + 2 * 12 - 2 <= len(lines) <= 4 + 29 + 6 + 2 * 12 + 2
    hands = Hands()
    watched(hands, [unit()] * 3600, total=3600, pause=1)
    assert len(capsys.readouterr().err.splitlines()) <= 41


def test_the_first_line_comes_after_fifteen_seconds_and_the_last_one_at_the_end(capsys):
    watched(Hands(), [unit()] * 20, total=20, pause=1)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("score: 15/20 units (75%), ") and last.startswith("score: 20/20 units (100%), ")


def test_a_line_says_rates_remaining_time_failures_and_the_bottleneck(capsys):
    rows = [unit(rows=10, failed=2, seconds=4, decode=3, waiting=1)] * 4
    watched(Hands(), [{"objects": 0}, *({**row, "objects": 1} for row in rows)], total=12, pause=4, step="objects")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "score: 4/12 objects (33%), 2.5 images/s now, 2.5/s overall, 0:32 left, 8 failed (corrupt_header 8), "
        "most time: decode 60%"
    )


def test_what_earlier_runs_did_counts_as_done_and_not_as_fast(capsys):
    earlier = {"objects": 600}
    rows = [earlier, {**unit(seconds=10), "objects": 100}, {**unit(seconds=10), "objects": 100}]
    watched(Hands(), rows, total=1000, pause=10, step="objects")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("score: 800/1,000 objects (80%), 1.0 images/s now, 1.0/s overall, 0:20 left, 0 failed, ")


def test_a_run_with_nothing_left_to_do_says_so_in_one_line(capsys):
    watched(Hands(), [{"objects": 9}], total=9, pause=1, step="objects")
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("score: 9/9 objects (100%), ") and "no unit is finished yet" in line


@pytest.mark.parametrize("total", [0, 8])
def test_a_terminal_has_a_bar_and_no_lines(monkeypatch, total):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    watched(Hands(), [unit(failed=1)] * total, total=total, pause=20)
    shown = terminal.getvalue()
    assert "\n" not in shown.rstrip("\n") and shown.startswith("\rscore: ")
    if total:
        assert "100%|" in shown and "8/8 units, 0.5 images/s now" in shown and "8 failed (corrupt_header 8)" in shown


def test_every_row_is_passed_on_and_a_second_wave_goes_on_with_the_sums():
    watch = Progress("index", clock=Hands())
    rows = [unit(rows=number) for number in range(5)]
    assert list(watch.over(rows[:3], total=3)) == rows[:3]
    assert list(watch.over(rows[3:], total=2)) == rows[3:]
    assert watch.summary()["units"] == 5 and watch.summary()["images"] == 10
    assert (watch.done, watch.total) == (2, 2)


def test_the_remaining_time_of_a_later_wave_is_at_its_own_pace():
    hands = Hands()
    watch = Progress("index", clock=hands)
    for pause in (1, 50):
        for row in (unit(seconds=pause), unit(seconds=pause)):
            hands.now += pause
            list(watch.over([row], total=5))
        assert watch.seconds_left() == 4 * pause
