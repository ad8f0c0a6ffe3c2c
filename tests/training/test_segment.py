"""`Segment`: everything over nodes is what it would be over the painted pixels."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from medray.graphs.node_targets import class_counts
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model
from medray.samples.collate import collate
from medray.samples.tables import flat_lists, int_lists, to_graphs
from medray.settings import OptimizerSettings, Recipe
from medray.training.fit import evaluate, figures, start_training, train_epoch
from medray.training.seeding import seed_everything
from medray.training.task import Segment

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 40, (32, 32)).astype(np.int32)
MASK = DRAW.integers(-1, 3, (32, 32)).astype(np.int16)
COUNTS = torch.from_numpy(class_counts(LABELS, MASK, 40, 3).astype(np.int64))
LOGITS = torch.from_numpy(DRAW.normal(size=(40, 3)).astype(np.float32))
TASK = Segment(("ground", "disc", "ring"))
PAINTED, TRUTH = LOGITS[torch.from_numpy(LABELS)][torch.from_numpy(MASK >= 0)], torch.from_numpy(MASK[MASK >= 0]).long()


def test_cross_entropy_is_that_of_every_counted_pixel() -> None:
    weights = (0.5, 2.0, 1.0)
    plain, weighed = replace(TASK, dice=0.0), replace(TASK, dice=0.0, class_weights=weights)
    torch.testing.assert_close(plain.loss(LOGITS, COUNTS), functional.cross_entropy(PAINTED, TRUTH))
    expected = functional.cross_entropy(PAINTED, TRUTH, weight=torch.tensor(weights))
    torch.testing.assert_close(weighed.loss(LOGITS, COUNTS), expected)


def test_soft_dice_is_that_of_every_counted_pixel() -> None:
    chances, truth = PAINTED.softmax(1), functional.one_hot(TRUTH, 3).float()
    dice = (2 * (chances * truth).sum(0) + 1) / (chances.sum(0) + truth.sum(0) + 1)
    added = replace(TASK, dice=2.0).loss(LOGITS, COUNTS) - replace(TASK, dice=0.0).loss(LOGITS, COUNTS)
    torch.testing.assert_close(added, 2 * (1 - dice.mean()))


def test_nodes_without_a_counted_pixel_change_nothing() -> None:
    more = torch.cat([LOGITS, torch.tensor([[9.0, -9.0, 0.0]])])
    counts = torch.cat([COUNTS, torch.zeros(1, 3, dtype=torch.int64)])
    torch.testing.assert_close(TASK.loss(more, counts), TASK.loss(LOGITS, COUNTS))
    assert TASK.figures(more, counts) == TASK.figures(LOGITS, COUNTS)


def test_figures_are_those_of_every_counted_pixel() -> None:
    found, chances = TASK.figures(LOGITS, COUNTS), PAINTED.softmax(1).numpy()
    truth, answers = TRUTH.numpy(), PAINTED.argmax(1).numpy()
    assert found["accuracy"] == pytest.approx((truth == answers).mean())
    expected = np.mean([roc_auc_score(truth == number, chances[:, number]) for number in range(3)])
    assert found["auroc"] == pytest.approx(expected)
    for number, name in enumerate(TASK.classes):
        both, sizes = (
            ((truth == number) & (answers == number)).sum(),
            (truth == number).sum() + (answers == number).sum(),
        )
        assert found[f"dice_{name}"] == pytest.approx(2 * both / sizes)
    assert found["dice"] == pytest.approx(np.mean([found[f"dice_{name}"] for name in TASK.classes]))


def test_a_class_that_is_nowhere_has_no_dice_and_does_not_count_in_the_mean() -> None:
    found = TASK.figures(torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]), torch.tensor([[9, 0, 0], [0, 3, 0]]))
    assert np.isnan(found["dice_ring"]) and found["dice"] == 1 and found["auroc"] == 1


def discs(count: int, size: int = 32) -> pa.Table:
    """Prepared noisy images of a bright disc, with its mask; the left quarter does not count."""
    draw, samples = np.random.default_rng(1), []
    rows, columns = np.mgrid[:size, :size]
    for number in range(count):
        row, column, radius = draw.uniform(8, 24), draw.uniform(8, 24), draw.uniform(4, 8)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        image = (inside + draw.normal(0, 0.2, inside.shape)).astype(np.float32)
        mask = np.where(columns < size // 4, -1, inside).astype(np.int16)
        samples.append((f"{number}:0", ((image - image.mean()) / image.std()).ravel(), mask))
    names, images, masks = zip(*samples, strict=True)
    table = pa.table({"sample_id": names, "status": ["ok"] * count})
    return table.append_column("image", flat_lists(images)).append_column("mask", int_lists(masks, np.int16))


@pytest.mark.parametrize("name", ["gatedgcn", "hybrid"])
def test_bright_discs_are_learned_in_the_loop_that_classification_has(name: str) -> None:
    recipe = Recipe(size=32, graph=GraphRecipe(regions=60))
    kind = "regions" if name == "hybrid" else "graph"
    batch = collate(to_graphs(discs(12), recipe, kind, 2), recipe)
    assert batch.labels is not None and batch.labels.sum() == 12 * 32 * 24 and len(batch) == 12
    seed_everything(0)
    model = build_model(name, num_classes=2, node_features=12, edge_features=4, task="segment")
    state = start_training(model, OptimizerSettings(epochs=30, learning_rate=0.01), 1, seed=0)
    task = Segment(("ground", "disc"))
    losses = [train_epoch(state, [batch], task, device="cpu") for _ in range(30)]
    found = figures(evaluate(model, [batch], task, device="cpu"), task)
    assert losses[-1] < 0.5 * losses[0] and found["dice_disc"] > 0.9 and found["auroc"] > 0.97


def test_a_single_image_is_a_batch_of_many_answers() -> None:
    recipe = Recipe(size=32, graph=GraphRecipe(regions=60))
    batch = collate(to_graphs(discs(1), recipe, "graph", 2), recipe)
    model = build_model("sage", num_classes=2, node_features=12, edge_features=4, task="segment")
    before = model.state_dict()["head.0.weight"].clone()
    state = start_training(model, OptimizerSettings(epochs=1), 2, seed=0)
    assert train_epoch(state, [batch], Segment(("ground", "disc")), device="cpu") > 0
    assert not torch.equal(before, model.state_dict()["head.0.weight"])
