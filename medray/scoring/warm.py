"""Models that are loaded once a process and answer units."""

import uuid
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
from torch import nn

from medray.errors import BundleError
from medray.scoring.ensemble import mean_table
from medray.scoring.plan import Member, Output, ScoringPlan
from medray.scoring.segmentations import segment_samples
from medray.scoring.table import score_samples
from medray.settings import ScoreSettings
from medray.training.bundle import load_bundle

PROCESS = uuid.uuid4().hex
"""Tells this process from all others, also from the one that an actor lived in before it was started again."""

LOADED: Counter[str] = Counter()
"""How often this process has loaded the model of each bundle, by the bundle's own id."""


def load_model(member: Member, device: str) -> nn.Module:
    """The bundle's model on a device, ready to score.

    Raises:
        BundleError: the bundle is no longer the one that the run began with.
    """
    bundle = load_bundle(member.uri)
    if bundle.model_id != member.own_id:
        raise BundleError(f"The bundle of {member.own_id} is another one now.", "Score it into a new --out.")
    LOADED[member.own_id] += 1
    return bundle.build_model().to(device)


class WarmModels:
    """The models of a plan, loaded when it is made."""

    def __init__(self, plan: ScoringPlan, settings: ScoreSettings, device: str) -> None:
        self.plan, self.settings = plan, settings
        self.models = [load_model(member, device) for member in plan.members]

    def loads(self) -> list[int]:
        """How often this process has loaded each bundle's model."""
        return [LOADED[member.own_id] for member in self.plan.members]

    def answer(self, inputs: Sequence[pa.Table], rows: pa.Table, unit_id: str) -> list[tuple[Output, pa.Table]]:
        """The rows of each table of the plan.

        Args:
            inputs: the samples of each of the plan's inputs.
            rows: the unit's rows of the index.
            unit_id: of the unit.
        """
        views = [[inputs[place] for place in member.inputs] for member in self.plan.members]
        return tables_of(self.plan, [self.of_bundle(n, each, rows, unit_id) for n, each in enumerate(views)])

    def of_bundle(self, number: int, views: Sequence[pa.Table], rows: pa.Table, unit_id: str) -> pa.Table:
        """The answers of one bundle to its own inputs."""
        bundle, model = self.plan.members[number].bundle, self.models[number]
        if bundle.task == "segment":
            return segment_samples(views[0], rows, bundle, model, unit_id=unit_id, settings=self.settings)
        return score_samples(views, rows, bundle, model, unit_id=unit_id, settings=self.settings)


def tables_of(plan: ScoringPlan, answers: Sequence[pa.Table]) -> list[tuple[Output, pa.Table]]:
    """The rows of each table of a plan, of the answers of its bundles in their order."""
    found = []
    for output in plan.outputs:
        several = [answers[number] for number in output.members]
        found.append((output, several[0] if len(several) == 1 else mean_table(several, output)))
    return found
