"""What a run of `medray score` answers: its bundles, what their models read, and the tables that are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import pyarrow as pa

from medray import storage
from medray.errors import SettingsError
from medray.image_settings import SampleRecipe
from medray.label_settings import TaskName
from medray.samples.inputs import UNFLIPPED, Flips, ModelInput
from medray.schema import FRAME_SETS, PREDICTIONS, SEGMENTATIONS
from medray.settings import AggregateLevel, ScoreSettings, TestTimeFlips
from medray.tables import digest
from medray.training.bundle import Bundle, load_bundle

SCHEMAS: dict[TaskName, pa.Schema] = {"classify": PREDICTIONS, "segment": SEGMENTATIONS}
LEVELS = get_args(AggregateLevel)
FLIPS: dict[TestTimeFlips, tuple[Flips, ...]] = {
    "off": (UNFLIPPED,),
    "left_right": (UNFLIPPED, (False, True)),
    "up_down": (UNFLIPPED, (True, False)),
    "both": (UNFLIPPED, (False, True), (True, False), (True, True)),
}


@dataclass(frozen=True)
class Member:
    """A bundle of the run.

    Attributes:
        uri: its folder.
        bundle: without weights. Its `model_id` is that of the answers: another one where they are a mean over flips.
        own_id: of the bundle as it was saved.
        inputs: numbers of what its model reads, one a flip, in `ScoringPlan.inputs`.
    """

    uri: str
    bundle: Bundle
    own_id: str
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """A table of predictions that the run writes.

    Attributes:
        uri: its folder.
        name: that folder's name within the output, or nothing.
        task: what is answered.
        classes: in the order of the probabilities.
        threshold: as in `training.task.Classify`.
        model_id: the bundle's own; of a mean a hash of its members and rule.
        recipe_id: the bundle's; of a mean over several recipes a hash of theirs.
        members: numbers of the bundles in `ScoringPlan.members`.
        rule: what the manifest says of a mean; empty where the bundle's own answers are written.
    """

    uri: str
    name: str
    task: TaskName
    classes: tuple[str, ...]
    threshold: float | None
    model_id: str
    recipe_id: str
    members: tuple[int, ...]
    rule: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoringPlan:
    """Bundles, what their models read, and the tables: of each bundle in their order, and of their mean."""

    members: tuple[Member, ...]
    inputs: tuple[ModelInput, ...]
    outputs: tuple[Output, ...]

    @property
    def sample(self) -> SampleRecipe:
        """What one sample is, to all members."""
        return self.members[0].bundle.recipe.sample

    def schema_of(self, output: Output) -> pa.Schema:
        """Of a table's rows."""
        return FRAME_SETS if self.sample.is_set else SCHEMAS[output.task]


def plan_scoring(settings: ScoreSettings) -> ScoringPlan:
    """Look at the bundles before any work.

    Raises:
        BundleError: no bundle, or one of another version.
        SettingsError: the same bundle twice, or something that its task, or the others' classes, do not allow.
    """
    bundles = [load_bundle(uri) for uri in settings.bundles]
    _check(settings, bundles)
    views = FLIPS[settings.test_time_flips]
    wanted = [[ModelInput(bundle.recipe, bundle.prepared_kind, flips) for flips in views] for bundle in bundles]
    inputs = tuple(dict.fromkeys(one for several in wanted for one in several))
    members = tuple(
        Member(uri, _answering(bundle, settings), bundle.model_id, tuple(inputs.index(one) for one in several))
        for uri, bundle, several in zip(settings.bundles, bundles, wanted, strict=True)
    )
    outputs = [_output_of(settings, members, number) for number in range(len(members))]
    if settings.ensemble != "off":
        outputs.append(_mean_of(settings, members))
    return ScoringPlan(members, inputs, tuple(outputs))


def scored_with(settings: ScoreSettings, plan: ScoringPlan, output: Output) -> dict[str, Any]:
    """The settings that lead to this table again, for its manifest: its bundles, their mean, their flips."""
    several = len(output.members) > 1
    return {
        "bundle": [plan.members[number].uri for number in output.members],
        "ensemble": settings.ensemble if several else "off",
        "test_time_flips": settings.test_time_flips,
    }


def _check(settings: ScoreSettings, bundles: Sequence[Bundle]) -> None:
    ids = [bundle.model_id for bundle in bundles]
    if not ids or len(set(ids)) < len(ids):
        raise SettingsError("--bundle names the same model twice, or none.", "Name each bundle once.")
    if settings.probabilities and not any(bundle.task == "segment" for bundle in bundles):
        raise SettingsError("--probabilities is of masks; the rows of a classification always have them.")
    asked = {
        "test_time_flips": settings.test_time_flips,
        "aggregate": settings.aggregate,
        "ensemble": settings.ensemble,
        "explain": settings.explain,
    }
    for flag in (name for name, value in asked.items() if value != "off"):
        if any(bundle.task != "classify" for bundle in bundles):
            raise SettingsError(f"--{flag} is of classes of images; a bundle here segments.", "Score that one alone.")
    if settings.aggregate == "noisy_or" and any(len(bundle.classes) != 2 for bundle in bundles):
        raise SettingsError("--aggregate noisy_or is of two classes: a finding, or none.", "Take `mean` or `max`.")
    if settings.explain != "off" and settings.test_time_flips != "off":
        raise SettingsError("--explain is of one image, and --test_time_flips answers for several.", "Leave one out.")
    if settings.ensemble != "off":
        _check_ensemble(bundles)
    _check_samples(settings, bundles)


def _check_samples(settings: ScoreSettings, bundles: Sequence[Bundle]) -> None:
    """What is asked of samples of several frames."""
    samples = {bundle.recipe.sample for bundle in bundles}
    if len(samples) > 1:
        said = " and ".join(sorted(f"a {sample.of} ({sample.frames} frames)" for sample in samples))
        raise SettingsError(f"A sample is {said} to these bundles.", "Score them one by one.")
    [sample] = samples
    if not sample.is_set:
        return
    if settings.explain != "off":
        raise SettingsError(
            f"--explain is of frames; a sample of this bundle is a {sample.of}.",
            "Its predictions say what each frame weighs in the answer: frame_weights.",
        )
    if settings.aggregate != "off" and sample.of in LEVELS[LEVELS.index(settings.aggregate_to) + 1 :]:
        raise SettingsError(
            f"--aggregate_to {settings.aggregate_to} is below a sample of this bundle, a {sample.of}.",
            f"Take {' or '.join(LEVELS[LEVELS.index(sample.of) :])}.",
        )


def _check_ensemble(bundles: Sequence[Bundle]) -> None:
    if len(bundles) < 2:
        raise SettingsError("--ensemble is of several bundles.", "Give --bundle twice or more.")
    different = {bundle.classes for bundle in bundles}
    if len(different) > 1:
        said = " and ".join(", ".join(classes) for classes in sorted(different))
        raise SettingsError(
            f"--ensemble needs bundles of the same classes in the same order; these have {said}.",
            "Score the bundles without --ensemble.",
        )


def _answering(bundle: Bundle, settings: ScoreSettings) -> Bundle:
    model_id = bundle.model_id
    if settings.test_time_flips != "off":
        model_id = digest({"rule": "mean", "flips": settings.test_time_flips, "members": [model_id]})
    return replace(bundle, weights={}, model_id=model_id)


def _output_of(settings: ScoreSettings, members: Sequence[Member], number: int) -> Output:
    member = members[number]
    bundle, alone = member.bundle, len(members) == 1
    name = "" if alone else f"{bundle.model_name}-{bundle.model_id}"
    rule: dict[str, Any] = {}
    if settings.test_time_flips != "off":
        rule = {"mean_over": [member.own_id], "test_time_flips": settings.test_time_flips}
    uri = settings.out if alone else storage.join(settings.out, name)
    facts = (bundle.task, bundle.classes, bundle.threshold, bundle.model_id, bundle.recipe.id())
    return Output(uri, name, *facts, members=(number,), rule=rule)


def _mean_of(settings: ScoreSettings, members: Sequence[Member]) -> Output:
    """The mean of all bundles, taken in the order of their ids: it does not depend on that of the flags."""
    order = tuple(sorted(range(len(members)), key=lambda number: members[number].own_id))
    bundles = [members[number].bundle for number in order]
    recipes = sorted({bundle.recipe.id() for bundle in bundles})
    model_id = digest({"rule": "mean", "members": [bundle.model_id for bundle in bundles]})
    name = f"ensemble-{model_id}"
    rule: dict[str, Any] = {"mean_over": [members[number].own_id for number in order]}
    if settings.test_time_flips != "off":
        rule["test_time_flips"] = settings.test_time_flips
    return Output(
        storage.join(settings.out, name),
        name,
        task="classify",
        classes=bundles[0].classes,
        threshold=mean_threshold([bundle.threshold for bundle in bundles]),
        model_id=model_id,
        recipe_id=recipes[0] if len(recipes) == 1 else digest(recipes)[:12],
        members=order,
        rule=rule,
    )


def mean_threshold(thresholds: Sequence[float | None]) -> float | None:
    """The threshold of a mean of probabilities: what all members answer, their mean answers too.

    A member without one answers at 0.5; where none has one, the most probable class is the answer.
    """
    if all(threshold is None for threshold in thresholds):
        return None
    return sum(0.5 if threshold is None else threshold for threshold in thresholds) / len(thresholds)
