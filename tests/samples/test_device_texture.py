"""medray/samples/device_texture.py; test_device_graphs.py holds it to the texture of the compiled kernels."""

import numpy as np
import torch

from medray.graphs.features import TEXTURE
from medray.samples.device_regions import Regions
from medray.samples.device_texture import texture_features_on


def test_stripes_are_coherent_noise_is_not_and_a_blank_image_has_no_texture():
    planes = np.zeros((3, 64, 64), np.float32)
    planes[0] = np.sin(np.arange(64) / 2)
    planes[1] = np.random.default_rng(0).normal(size=(64, 64))
    found = texture_features_on(torch.from_numpy(planes), Regions(torch.zeros(3, 64, 64, dtype=torch.int64))).numpy()
    stripes, noise, blank = (dict(zip(TEXTURE, row, strict=True)) for row in found)
    assert stripes["coherence_1"] > 0.99 and noise["coherence_1"] < 0.1
    assert all(value == 0 for name, value in blank.items() if not name.startswith("histogram"))
    assert blank["histogram_4"] == 1 and abs(noise["histogram_0"] - 0.0668) < 0.02  # values below -1.5
