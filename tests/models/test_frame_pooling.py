"""One answer for several frames: no order, no neighbour, and the weights that it says."""

import pytest
import torch

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.models.frame_pooling import FRAME_WIDTH, FramePooling
from tests.models.region_graphs import join, random_graph

COUNTS = [3, 1, 5]


def network(readout="attention", name="cnn"):
    torch.manual_seed(0)
    model = build_model(name, num_classes=4, node_features=5, edge_features=3, options={"frame_readout": readout})
    assert isinstance(model, FramePooling)
    return model.eval()


def inputs_of(counts):
    draw = torch.Generator().manual_seed(1)
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return {"sample": owner, "num_samples": len(counts), "image": torch.randn(len(owner), 1, 16, 16, generator=draw)}


def only(inputs, kept):
    return {"sample": torch.zeros(len(kept), dtype=torch.int64), "num_samples": 1, "image": inputs["image"][kept]}


@pytest.mark.parametrize("readout", ["attention", "mean_max"])
def test_a_sample_sees_neither_its_batch_nor_the_order_of_its_frames(readout):
    model, inputs = network(readout), inputs_of(COUNTS)
    together = model(**inputs)
    for number, (start, count) in enumerate(zip((0, 3, 4), COUNTS, strict=True)):
        for order in (torch.arange(count), torch.arange(count).flip(0)):
            torch.testing.assert_close(model(**only(inputs, start + order))[0], together[number], atol=1e-5, rtol=0)


def test_the_answer_is_the_head_of_the_weighed_mean_and_the_weights_are_those_that_are_told():
    model, inputs = network(), inputs_of(COUNTS)
    logits, weights = model.answer(**inputs)
    features = torch.relu(model.frame_model(inputs["image"]))
    scores = model.pool.score(features)[:, 0]
    for number, (start, count) in enumerate(zip((0, 3, 4), COUNTS, strict=True)):
        own = slice(start, start + count)
        expected = torch.softmax(scores[own], 0)
        torch.testing.assert_close(weights[own], expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(logits[number], model.head(expected @ features[own]), atol=1e-5, rtol=0)
    assert features.shape[1] == FRAME_WIDTH and (features.std(0) > 0).any()


def test_mean_and_maximum_weigh_nothing():
    assert network("mean_max").answer(**inputs_of(COUNTS))[1] is None


@pytest.mark.parametrize("name", [name for name, family in MODELS.items() if family.input_kind == "graph"])
def test_frames_may_be_region_graphs(name):
    model, graphs = network(name=name), [random_graph(nodes, nodes) for nodes in (6, 9, 30)]
    owner = {"sample": torch.tensor([0, 0, 1]), "num_samples": 2}
    together = model(**owner, **join(graphs))
    first = model(sample=torch.tensor([0, 0]), num_samples=1, **join(graphs[:2]))
    torch.testing.assert_close(together[:1], first, atol=1e-5, rtol=0)


def test_every_weight_gets_a_gradient():
    model = network().train()
    model(**inputs_of(COUNTS)).square().sum().backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None]


def test_an_option_that_the_frames_model_does_not_have_is_still_refused():
    with pytest.raises(SettingsError, match="cnn has no option 'heads'"):
        build_model("cnn", num_classes=2, options={"frame_readout": "attention", "heads": 2})
