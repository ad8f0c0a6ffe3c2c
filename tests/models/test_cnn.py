"""medray/models/cnn.py and resnet18.py."""

import pytest
import torch
from torch import nn

from medray.models.cnn import SmallCNN, halve
from medray.models.resnet18 import ResNet18


@pytest.mark.parametrize(("size", "smallest"), [(28, 3), (64, 4), (128, 8), (256, 16)])
def test_the_last_map_keeps_three_rows_or_more(size: int, smallest: int) -> None:
    maps = torch.zeros(1, 1, size, size)
    for _ in range(4):
        maps = halve(maps)
    assert maps.shape[2:] == (smallest, smallest)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 1, 3, 3), (2, 1, 40, 97)])
def test_any_size_goes_through(shape: tuple[int, ...]) -> None:
    assert SmallCNN(1, 5)(torch.randn(shape)).shape == (2, 5)


def test_a_sample_does_not_see_its_batch_in_evaluation() -> None:
    model = SmallCNN(1, 2).eval()
    images = torch.randn(9, 1, 28, 28)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "rows"), [(28, 7), (64, 16), (65, 5), (224, 14)])
def test_small_inputs_keep_their_resolution_in_the_resnet_stem(size: int, rows: int) -> None:
    model, shapes = ResNet18(3, 2, size=size).eval(), []
    model.cam_layer.register_forward_hook(lambda _module, _inputs, maps: shapes.append(maps.shape))
    with torch.inference_mode():
        assert model(torch.randn(1, 3, size, size)).shape == (1, 2)
    assert shapes == [(1, 256, rows, rows)]


def test_resnet18_is_torchvisions_at_its_own_size() -> None:
    from torchvision.models import resnet18

    peer, own = resnet18(num_classes=2), ResNet18(3, 2)
    own.network.load_state_dict(peer.state_dict())
    image = torch.randn(1, 3, 96, 96)
    assert torch.equal(own.eval()(image), peer.eval()(image))


def test_every_weight_of_the_cnn_gets_a_gradient() -> None:
    model = SmallCNN(3, 2)
    loss = nn.functional.cross_entropy(model(torch.randn(8, 3, 28, 28)), torch.tensor([0, 1] * 4))
    torch.autograd.backward(loss)
    assert all(parameter.grad is not None for parameter in model.parameters())
