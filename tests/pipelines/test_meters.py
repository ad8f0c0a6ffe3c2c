"""Counters at Ray's own endpoint: they add up to the job's table, and the dashboard draws what there is."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from medray import tables
from medray.pipelines.meters import COUNTERS, LABELS, UNIT_SECONDS
from medray.pipelines.score import score
from medray.schema import STAGES
from tests.pipelines.endpoint import settled

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana" / "medray.json"
EXPORTED = {f"ray_{name}_total" for name in COUNTERS}
HISTOGRAM = f"ray_{UNIT_SECONDS}_bucket"


def expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_dashboard_draws_each_metric_of_the_code_and_no_other():
    named = {name for expression in expressions() for name in re.findall(r"\bray_\w+", expression)}
    assert named == EXPORTED | {HISTOGRAM}


def test_the_dashboard_splits_by_labels_that_the_metrics_have():
    labels = {*LABELS, "le", *(label for _, label in COUNTERS.values() if label)}
    split = {name for text in expressions() for name in re.findall(r"by \((\w+)\)", text)}
    filtered = {name for text in expressions() for name in re.findall(r"(\w+)=~", text)}
    assert split <= labels and filtered == set(LABELS) and {"reason", "stage", "status"} <= split


def test_the_dashboard_has_the_panels_asked_for_and_none_lies_on_another():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    titles = " ".join(panel["title"].lower() for panel in panels)
    assert all(word in titles for word in ("images a second", "failures", "stage shares", "bytes", "remaining"))
    cells = Counter()
    for place in (panel["gridPos"] for panel in panels):
        xs, ys = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells.update((x, y) for x in xs for y in ys)
        assert place["x"] + place["w"] <= 24
    assert max(cells.values()) == 1 and len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.slow
def test_a_scoring_adds_what_its_table_holds_to_the_counters_of_rays_own_endpoint(scoring, tmp_path):
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]
    mine = {"verb": "score", "job_id": ray.get_runtime_context().get_job_id()}
    before = settled(port, **mine)
    manifest = score(scoring(tmp_path))
    expected = before + Counter(
        {("samples_total", status): count for status, count in manifest["funnel"]["status"].items()}
        | {("failures_total", reason): count for reason, count in manifest["run"]["failures"].items()}
        | {("units_total", ""): manifest["units"], ("read_bytes_total", ""): manifest["run"]["bytes"]}
    )
    after = settled(port, **mine)
    counted = [
        key for key in expected if key[0] in ("samples_total", "failures_total", "units_total", "read_bytes_total")
    ]
    assert {key: after[key] for key in counted} == {key: expected[key] for key in counted}
    stages = {stage: after["stage_seconds_total", stage] - before["stage_seconds_total", stage] for stage in STAGES}
    assert stages == pytest.approx(manifest["run"]["stage_seconds"])
    assert after["unit_seconds_count", ""] - before["unit_seconds_count", ""] == manifest["units"]
    objects = sum(count for status, count in manifest["index_funnel"]["status"].items() if status != "skipped")
    added = {name: after[name, ""] - before[name, ""] for name in ("planned_total", "done_total")}
    assert added == {"planned_total": objects, "done_total": objects} and manifest["run"]["failures"]
    assert tables.read_manifest(str(tmp_path))["run"] == manifest["run"]
