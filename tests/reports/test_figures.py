import re
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa

from medray.reports.figures import draw_figures, draw_history
from medray.reports.metrics import Evaluation
from medray.schema import HISTORY
from tests.reports.test_metrics import scored

ALL = ["roc", "precision_recall", "calibration", "confusion", "histogram", "threshold"]


def evaluation(classes: int = 2, labelled: bool = True, names: list[str] | None = None) -> Evaluation:
    labels, probabilities = scored(200, classes)
    names = names or [f"class {number}" for number in range(classes)]
    patients = [str(row // 2) for row in range(200)]
    return Evaluation(probabilities, names, labels if labelled else None, 0.4, patients)


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert draw_figures(evaluation()) == draw_figures(evaluation())


def test_two_and_three_and_nine_classes_have_all_six_figures() -> None:
    for classes in (2, 3, 9):
        assert [figure.name for figure in draw_figures(evaluation(classes))] == ALL


def test_without_labels_only_the_histogram_is_drawn() -> None:
    assert [figure.name for figure in draw_figures(evaluation(labelled=False))] == ["histogram"]


def test_figures_are_well_formed_and_take_every_colour_from_the_style_sheet() -> None:
    for figure in draw_figures(evaluation()):
        ElementTree.fromstring(figure.svg)
        assert not re.search(r"#[0-9a-fA-F]{6}\b", re.sub(r'(href="|url\()#[^")]*', "", figure.svg)), figure.name
        assert "var(--series-1)" in figure.svg
        assert "font-family" not in figure.svg


def test_ids_of_different_figures_never_meet() -> None:
    ids = [name for figure in draw_figures(evaluation()) for name in set(re.findall(r' id="([^"]+)"', figure.svg))]
    assert len(ids) == len(set(ids))


def test_numbers_in_a_legend_keep_their_digits() -> None:
    roc = draw_figures(evaluation())[0]
    said = re.search(r"class 1 (0\.\d{3})", roc.caption)
    assert said is not None
    assert f">class 1 {said.group(1)}</text>" in roc.svg


def test_hostile_class_names_stay_text() -> None:
    hostile = ["<script>alert(1)</script>", "a\"b'&$x_1$ #0a0b01"]
    for figure in draw_figures(evaluation(names=hostile)):
        ElementTree.fromstring(figure.svg)
        assert "<script" not in figure.svg


def test_one_class_alone_still_draws() -> None:
    labels, probabilities = np.zeros(30, dtype=int), scored(30, 2)[1]
    figures = draw_figures(Evaluation(probabilities, ["a", "b"], labels, 0.5, [None] * 30))
    assert "not defined" in figures[0].caption
    assert [figure.name for figure in figures] == ALL


def test_training_curves_have_a_line_a_seed_and_their_mean() -> None:
    rows = [
        {"seed": seed, "epoch": epoch, "train_loss": 1 / (1 + epoch + seed), "validation_auroc": None}
        for seed in range(3)
        for epoch in range(4)
    ]
    loss, auroc, _ = draw_history(pa.Table.from_pylist(rows, schema=HISTORY))
    assert "3 seeds" in loss.caption
    assert len(re.findall(r'id="loss-line2d', loss.svg)) - len(re.findall(r'id="auroc-line2d', auroc.svg)) >= 4
