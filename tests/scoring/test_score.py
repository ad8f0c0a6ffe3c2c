"""medray/scoring/score.py."""

import numpy as np
import pytest
import torch

from medray.models.catalog import MODELS, build_model
from medray.models.cnn import SmallCNN
from medray.samples.batch import Batch
from medray.scoring.score import predict
from medray.training.task import Classify
from tests.models.region_graphs import join, random_graph
from tests.training.planted import image_batches, square_images

TASK = Classify(("no", "yes"), threshold=0.4)
IMAGES, LABELS, _ = square_images(50)


def image_model() -> SmallCNN:
    torch.manual_seed(0)
    model = SmallCNN(1, 2)
    model(IMAGES)
    return model


def test_an_image_gets_the_same_answer_in_any_batch() -> None:
    model = image_model()
    whole = predict(model, image_batches(IMAGES, LABELS, 50), TASK)
    for batch_size in (1, 7, 16):
        parts = predict(model, image_batches(IMAGES, LABELS, batch_size), TASK)
        assert parts.sample_ids == whole.sample_ids
        np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name, family in MODELS.items() if family.input_kind == "graph"])
def test_a_graph_gets_the_same_answer_in_any_batch(name: str) -> None:
    torch.manual_seed(0)
    graphs = [random_graph(5 + k, k) for k in range(12)]
    model = build_model(name, num_classes=2, node_features=5, edge_features=3)
    model(**join(graphs))
    names = [str(k) for k in range(12)]
    whole = predict(model, [Batch(join(graphs), None, names)], TASK)
    alone = predict(model, [Batch(graph, None, [name]) for graph, name in zip(graphs, names, strict=True)], TASK)
    np.testing.assert_allclose(alone.probabilities, whole.probabilities, atol=1e-6, rtol=0)


def test_answers_are_float32_softmax_at_the_threshold() -> None:
    answers = predict(image_model(), image_batches(IMAGES, LABELS), TASK)
    assert answers.logits.dtype == answers.probabilities.dtype == np.float32
    powers = np.exp(answers.logits.astype(np.float64))
    np.testing.assert_allclose(answers.probabilities, powers / powers.sum(1, keepdims=True), atol=1e-6)
    assert answers.labels.tolist() == (answers.probabilities[:, 1] >= 0.4).tolist()


def test_scoring_leaves_the_model_as_it_is() -> None:
    model = image_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, image_batches(IMAGES, LABELS), TASK)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nothing_to_score_gives_no_rows() -> None:
    answers = predict(image_model(), [], TASK)
    assert (answers.sample_ids, answers.logits.shape, answers.labels.shape) == ([], (0, 2), (0,))
