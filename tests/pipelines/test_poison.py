"""Whatever a sample does to the process that scores it, it costs one row; a worker that freezes ends the job, named."""

import os
import signal

import pytest

from benchmarks import kills
from benchmarks.drawn_bundle import drawn_bundle
from benchmarks.road import command
from medray import tables
from medray.pipelines.verify import verify
from medray.settings import GraphRecipe, Recipe, SampleRecipe
from tests.pipelines.processes import Driver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The small archive of benchmarks/kills.py, its index and bundle, and the undisturbed table."""
    folder = tmp_path_factory.mktemp("poison")
    kills.lay_out(folder)
    return folder


def _score(work, out, *more, bundle="bundle"):
    return (*command("score", **(kills.flags(work, out) | {"bundle": work / bundle})), *more)


def _rows(uri):
    """By sample, but for the key of the setup: limits of time that differ make another one."""
    rows = tables.read_table(str(uri)).drop_columns(["setup"]).to_pylist()
    return {row["sample_id"]: row for row in rows}


def _in_the_middle(rows):
    """A sample in the middle of the largest unit."""
    ok = [row for row in rows.values() if row["status"] == "ok"]
    units = [row["unit_id"] for row in ok]
    largest = [row["sample_id"] for row in ok if row["unit_id"] == max(units, key=units.count)]
    assert len(largest) > 5
    return largest[len(largest) // 2]


def _run(flags, fault, environment=None):
    with Driver(*flags, environment=os.environ | {"MEDRAY_FAULT": fault} | (environment or {})) as driver:
        code = driver.process.wait(1500)
        return code, driver.errors()


def _assert_one_row_given_up(work, whole, out, guilty, reason):
    found, wanted = _rows(work / out), _rows(work / whole)
    assert found.keys() == wanted.keys()
    assert {name for name in wanted if found[name] != wanted[name]} == {guilty}
    assert (found[guilty]["status"], found[guilty]["reason"]) == ("failed", reason)
    manifest = tables.read_manifest(str(work / out))
    assert manifest["samples_isolated"] == 1 and manifest["units_retried"] >= 1
    assert verify(str(work / out))["failed"] == verify(str(work / whole))["failed"] + 1


@pytest.mark.parametrize(
    ("action", "reason", "more"),
    [
        ("segfault", "worker_killed", ()),
        ("kill", "worker_killed", ("--stages", "actors")),
        ("hold", "worker_stalled", ("--ray.stalled_s", "5", "--decode.frame_seconds", "10")),
    ],
)
def test_a_sample_whose_answer_ends_its_worker_costs_its_row(work, action, reason, more):
    guilty, out = _in_the_middle(_rows(work / "whole")), f"poison-{action}"
    code, said = _run(_score(work, out, *more), f"forward:{action}:@{guilty}")
    assert code == 0, said
    _assert_one_row_given_up(work, "whole", out, guilty, reason)


@pytest.mark.parametrize("stages", ["fused", "actors"])
def test_a_sample_whose_graph_ends_its_worker_costs_its_row(work, stages, undisturbed_graphs):
    guilty, out = _in_the_middle(_rows(work / "whole")), f"poison-graph-{stages}"
    flags = _score(work, out, "--stages", stages, bundle="graph-bundle")
    code, said = _run(flags, f"graph:kill:@{guilty}")
    assert code == 0, said
    _assert_one_row_given_up(work, undisturbed_graphs, out, guilty, "worker_killed")


@pytest.fixture(scope="module")
def undisturbed_graphs(work):
    """A table by a graph network with random weights."""
    drawn_bundle(work / "graph-bundle", "gatedgcn", Recipe(size=28, graph=GraphRecipe(regions=20)))
    code, said = _run(_score(work, "graphs", bundle="graph-bundle"), "")
    assert code == 0, said
    return "graphs"


def test_a_series_whose_answer_ends_its_worker_costs_its_row(work):
    drawn_bundle(work / "series-bundle", "cnn", Recipe(size=28, sample=SampleRecipe("series")))
    code, said = _run(_score(work, "series", bundle="series-bundle"), "")
    assert code == 0, said
    guilty = _in_the_middle(_rows(work / "series"))
    code, said = _run(_score(work, "poison-series", bundle="series-bundle"), f"forward:kill:@{guilty}")
    assert code == 0, said
    _assert_one_row_given_up(work, "series", "poison-series", guilty, "worker_killed")


def test_a_sample_whose_heat_ends_its_worker_costs_its_heat(work):
    for out in ("explained", "explained-whole"):
        code, said = _run(_score(work, out), "")
        assert code == 0, said
    guilty = _in_the_middle(_rows(work / "explained"))
    code, said = _run(_score(work, "explained-whole", "--explain", "all"), "")
    assert code == 0, said
    code, said = _run(_score(work, "explained", "--explain", "all"), f"forward:kill:@{guilty}")
    assert code == 0, said
    found, wanted = (
        {row["sample_id"]: row for row in tables.read_table(str(work / out / tables.EXPLANATIONS)).to_pylist()}
        for out in ("explained", "explained-whole")
    )
    assert found.keys() == wanted.keys()
    assert {name for name in wanted if found[name] != wanted[name]} == {guilty}
    assert (found[guilty]["status"], found[guilty]["reason"], found[guilty]["heat"]) == (
        "failed",
        "worker_killed",
        None,
    )
    assert found[guilty]["label"] == wanted[guilty]["label"]
    assert verify(str(work / "explained"))["explained"] == len(wanted)


def test_a_frozen_worker_is_named_with_its_stage_and_ends_the_job(work):
    flags = _score(work, "frozen", "--ray.stalled_s", "5", "--ray.no_progress_s", "60")
    code, said = _run(flags, "forward:freeze:8")
    assert code == 1
    assert "(at 'forward') has stood still for" in said
    last = said.splitlines()[-1]
    assert last.startswith("medray score: The stage 'score' made no progress for") and "(at 'forward')" in last


def test_seeded_kills_of_driver_worker_and_raylet_lose_double_and_redo_nothing(work):
    rounds = [kills.run_round(work, 3)]
    figures = kills.summary(rounds)
    assert figures["kills"] >= 4 and figures["unfinished_rounds"] == 0
    assert {name: figures[name] for name in kills.COUNTS} == dict.fromkeys(kills.COUNTS, 0)
    assert signal.SIGKILL.value * -1 in [code for found in rounds for code in found["codes"]]
