"""Series of real patients to graphs of supervoxels: CT, PET and MR of one patient with a sarcoma (IBSI)."""

import pathlib

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.volumes import objects, read_nifti
from medray.graphs.volume_build import build_volume_graph, supervoxel_labels
from medray.image_settings import GraphRecipe
from medray.pixels.volume import build_volumes
from tests.graphs.ellipses import achievable_accuracy

RECIPE = GraphRecipe(regions=1000)


def unexplained(values: np.ndarray, labels: np.ndarray) -> float:
    """Variance that is left within regions."""
    regions = np.arange(labels.max() + 1)
    return float(np.average(ndimage.variance(values, labels, regions), weights=np.bincount(labels.ravel())))


@pytest.mark.parametrize(("kind", "share"), [("CT", 0.9), ("PET", 0.6), ("MR_T1", None)])
def test_a_series_becomes_a_graph_whose_regions_follow_what_is_there(
    medray_data: pathlib.Path, kind: str, share: float | None
) -> None:
    """Beside blocks of the same size: half the variance within regions, and a tumour that has contrast kept apart."""
    (volume,) = build_volumes(objects(medray_data / f"ibsi/dicom/STS_025/{kind}/image")).volumes
    values = (volume.values - volume.values.mean()) / volume.values.std()
    if kind == "CT":
        values = np.clip((volume.values - 40) / 100, -2, 2)
    graph = build_volume_graph(values, volume.spacing_mm, RECIPE)
    labels = supervoxel_labels(values, volume.spacing_mm, RECIPE)
    graph.check()
    assert graph.num_nodes == labels.max() + 1 == pytest.approx(1000, rel=0.1)
    means = ndimage.mean(values.astype(float), labels, np.arange(graph.num_nodes))
    np.testing.assert_allclose(graph.x[:, 1], means, rtol=1e-4, atol=1e-4)
    blocks = supervoxel_labels(np.zeros_like(values), volume.spacing_mm, RECIPE)
    assert unexplained(values, labels) < 0.5 * unexplained(values, blocks)
    if share is not None:
        tumour = read_nifti(medray_data / f"ibsi/nifti/STS_025/{kind}_mask.nii.gz")[0][0].astype(int)
        ours, theirs = (1 - achievable_accuracy(found, tumour) for found in (labels, blocks))
        assert ours < share * theirs
