"""What a run of several bundles answers, and what it refuses before any work."""

from dataclasses import replace

import pytest

from benchmarks.drawn_bundle import drawn_bundle
from medray.errors import SettingsError
from medray.image_settings import GraphRecipe
from medray.scoring.plan import mean_threshold, plan_scoring
from medray.settings import Recipe, ScoreSettings

GRAPH = Recipe(size=16, graph=GraphRecipe(regions=12))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of bundles by name."""
    folder = tmp_path_factory.mktemp("bundles")
    image = Recipe(size=16)
    drawn_bundle(folder / "a", "cnn", image, 0, threshold=0.4)
    drawn_bundle(folder / "b", "cnn", image, 1, threshold=0.7)
    drawn_bundle(folder / "graph", "gatedgcn", GRAPH, 2)
    drawn_bundle(folder / "other", "cnn", image, 3, classes=("nodule", "clear"))
    drawn_bundle(folder / "three", "cnn", image, 4, classes=("a", "b", "c"))
    drawn_bundle(folder / "masks", "sage", GRAPH, 5, task="segment")
    return folder


def _plan(saved, *names, **more):
    return plan_scoring(ScoreSettings("index", "out", [str(saved / name) for name in names], **more))


def test_bundles_of_one_recipe_share_their_input_and_others_have_their_own(saved):
    plan = _plan(saved, "a", "graph", "b")
    assert [member.inputs for member in plan.members] == [(0,), (1,), (0,)]
    assert [(one.recipe, one.kind) for one in plan.inputs] == [(Recipe(size=16), "image"), (GRAPH, "graph")]
    assert plan.inputs[0].image_recipe == plan.inputs[1].image_recipe


def test_one_bundle_writes_to_the_output_itself_and_several_to_folders_of_their_ids(saved):
    [alone] = _plan(saved, "a").outputs
    assert (alone.uri, alone.model_id, alone.threshold, alone.rule) == ("out", alone.name or alone.model_id, 0.4, {})
    several = _plan(saved, "a", "graph", ensemble="mean").outputs
    assert [output.name.split("-")[0] for output in several] == ["cnn", "gatedgcn", "ensemble"]
    assert [output.uri for output in several] == [f"out/{output.name}" for output in several]
    assert len({output.model_id for output in several}) == 3 and several[0].model_id == alone.model_id


def test_a_mean_is_the_same_model_in_whatever_order_the_bundles_are_named(saved):
    one, other = (_plan(saved, *names, ensemble="mean").outputs[-1] for names in (("a", "b"), ("b", "a")))
    assert one.model_id == other.model_id and one.rule == other.rule and one.threshold == pytest.approx(0.55)
    assert one.recipe_id == Recipe(size=16).id()
    mixed = _plan(saved, "a", "graph", ensemble="mean").outputs[-1]
    assert mixed.model_id != one.model_id and mixed.recipe_id not in (Recipe(size=16).id(), GRAPH.id())


def test_flips_make_another_model_that_names_its_bundle(saved):
    plain, flipped = _plan(saved, "a"), _plan(saved, "a", test_time_flips="both")
    assert [one.flips for one in flipped.inputs] == [(False, False), (False, True), (True, False), (True, True)]
    assert flipped.members[0].inputs == (0, 1, 2, 3) and flipped.members[0].own_id == plain.members[0].own_id
    [output] = flipped.outputs
    assert output.model_id != plain.outputs[0].model_id and output.uri == "out"
    assert output.rule == {"mean_over": [plain.outputs[0].model_id], "test_time_flips": "both"}


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (["a", "a"], {}, "the same model twice"),
        ([], {}, "or none"),
        (["a"], {"ensemble": "mean"}, "--ensemble is of several bundles"),
        (["a", "other"], {"ensemble": "mean"}, "clear, nodule and nodule, clear"),
        (["a", "three"], {"ensemble": "mean"}, "same classes in the same order"),
        (["three"], {"aggregate": "noisy_or"}, "two classes"),
        (["a", "masks"], {"ensemble": "mean"}, "--ensemble is of classes of images"),
        (["masks"], {"test_time_flips": "left_right"}, "--test_time_flips is of classes of images"),
        (["masks"], {"aggregate": "mean"}, "--aggregate is of classes of images"),
        (["a", "masks"], {"explain": "top"}, "--explain is of classes of images"),
        (["a"], {"explain": "top", "test_time_flips": "up_down"}, "--explain is of one image"),
        (["a", "b"], {"probabilities": True}, "--probabilities is of masks"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(saved, names, more, said):
    with pytest.raises(SettingsError, match=said) as error:
        _plan(saved, *names, **more)
    assert "\n" not in str(error.value)


def test_the_threshold_of_a_mean_keeps_what_all_members_answer():
    assert mean_threshold([None, None]) is None
    assert mean_threshold([0.2, None]) == pytest.approx(0.35)
    assert mean_threshold([0.2, 0.4, 0.9]) == pytest.approx(0.5)


def test_a_plan_carries_no_weights(saved):
    plan = _plan(saved, "a", "graph")
    assert all(member.bundle.weights == {} for member in plan.members)
    assert replace(plan, outputs=plan.outputs[:1]).members == plan.members
