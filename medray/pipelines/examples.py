"""The report's examples under their heat, stored or made again, and checks of what that heat is worth."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from torch import nn

from medray import storage, tables
from medray.errors import SampleError
from medray.pipelines.progress import say
from medray.reports.content import Example
from medray.reports.heat_figures import HeatChecks, draw_heat_checks
from medray.reports.metrics import Evaluation
from medray.reports.svg import Figure
from medray.result_settings import ReportSettings
from medray.scoring.examples import HEAT_METHODS, Shown, choose_examples, read_again
from medray.scoring.explain import Heat, explain, from_levels, to_levels
from medray.scoring.explain_checks import Faithfulness, faithfulness, randomisation_check
from medray.training.bundle import Bundle

CHECKED = 20
"""Images whose heat is checked, as far as CHECK_S reaches."""
CHECK_S = 60.0


@dataclass(frozen=True)
class HeatedExamples:
    """What the page shows of them.

    Attributes:
        examples: images under their heat.
        method: that made the heat, in words.
        checks: figures on what it is worth.
    """

    examples: Sequence[Example] = ()
    method: str = ""
    checks: Sequence[Figure] = ()


@dataclass
class _Checks:
    """Curves of the samples so far: of the heat and of brightness, and of randomised models."""

    model: nn.Module
    method: str
    curves: list[tuple[Faithfulness, Faithfulness]] = field(default_factory=list)
    randomised: list[list[tuple[str, float]]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, shown: Shown, heat: Heat, class_number: int) -> None:
        if len(self.curves) == CHECKED or self.seconds > CHECK_S:
            return
        started = time.monotonic()
        brightness = explain(self.model, shown.inputs, "brightness", class_number)
        own, other = (faithfulness(self.model, shown.inputs, each, class_number) for each in (heat, brightness))
        self.curves.append((own, other))
        self.randomised.append(randomisation_check(self.model, shown.inputs, self.method, class_number))
        self.seconds += time.monotonic() - started

    def figures(self, words: str) -> list[Figure]:
        if not self.curves:
            return []
        insertion, deletion = (
            np.array([[getattr(pair[place], name) for pair in self.curves] for place in (0, 1)])
            for name in ("insertion", "deletion")
        )
        correlation = np.array([[value for _, value in check] for check in self.randomised])
        layers = [name for name, _ in self.randomised[0]]
        return draw_heat_checks(HeatChecks(words, insertion, deletion, layers, correlation))


def heated_examples(
    evaluation: Evaluation, chosen: pa.Table, bundle: Bundle | None, *, settings: ReportSettings, key: bytes
) -> HeatedExamples:
    """Choose samples, read them again, and lay their heat over them: the stored one where there is one.

    Args:
        evaluation: of the chosen samples.
        chosen: their predictions.
        bundle: that made them; none = no heat, and no examples, as with samples of several frames.
        settings: of the report.
        key: unseals the objects' names.
    """
    if bundle is None or bundle.recipe.sample.is_set or not chosen.num_rows or not settings.examples:
        return HeatedExamples()
    picks = _picks(evaluation, chosen, max(settings.examples, CHECKED))
    index = rows_of(tables.read_manifest(settings.predictions)["source"], [pick.sample for pick in picks], "object_id")
    stored, method = stored_heat(settings.predictions, [pick.sample for pick in picks])
    model, examples = bundle.build_model(), []
    checks = _Checks(model, method)
    for place, pick in enumerate(picks):
        try:
            shown = read_again({**index[pick.sample["object_id"]], "frame": pick.sample["frame"]}, key, bundle)
        except SampleError as error:
            say(f"report: an example is left out ({error.reason.value})")
            continue
        heat = stored.get(pick.sample["sample_id"])
        if heat is None:
            heat = from_levels(to_levels(explain(model, shown.inputs, method, pick.class_number)))
        if len(bundle.classes) > 2 or pick.class_number:  # nothing speaks for the absence of a finding
            checks.add(shown, heat, pick.class_number)
        if place < settings.examples:
            examples.append(Example(shown.image[0], shown.painted(heat), **pick.words))
    words = HEAT_METHODS[bundle.input_kind][method]
    return HeatedExamples(examples, words, checks.figures(words))


@dataclass(frozen=True)
class _Pick:
    """A sample to show: its row of the predictions, its predicted class, and an Example's words."""

    sample: dict[str, Any]
    class_number: int
    words: dict[str, Any]


def _picks(evaluation: Evaluation, chosen: pa.Table, count: int) -> list[_Pick]:
    classes, truth = evaluation.classes, evaluation.labels
    answers = [classes.index(label) for label in chosen["label"].to_pylist()]
    truths = None if truth is None else truth.tolist()
    picks = choose_examples(evaluation.probabilities.astype(np.float32), answers, truths, count=count)
    samples = chosen.take([row for row, _ in picks]).to_pylist()
    found = []
    for (row, why), sample in zip(picks, samples, strict=True):
        words = {
            "caption": why,
            "truth": None if truths is None else classes[truths[row]],
            "prediction": sample["label"],
            "probability": float(evaluation.probabilities[row, answers[row]]),
            "sample_id": sample["sample_id"],
        }
        found.append(_Pick(sample, answers[row], words))
    return found


def rows_of(uri: str, samples: list[dict[str, Any]], column: str) -> dict[str, dict[str, Any]]:
    """Rows of a finished table for these samples, by a column that both have."""
    found = tables.rows_where(uri, column, [sample[column] for sample in samples])
    return {row[column]: row for row in found.to_pylist()}


def stored_heat(predictions: str, samples: list[dict[str, Any]]) -> tuple[dict[str, Heat], str]:
    """Stored heat by sample id, and the method of all heat on the page."""
    explanations = storage.join(predictions, tables.EXPLANATIONS)
    if not storage.exists(storage.join(explanations, tables.MANIFEST)):
        return {}, "cam"
    heat = {
        sample_id: from_levels(np.array(row["heat"], np.uint8).reshape(row["shape"]))
        for sample_id, row in rows_of(explanations, samples, "sample_id").items()
        if row["status"] == "ok"
    }
    return heat, tables.read_manifest(explanations)["explain_method"]
