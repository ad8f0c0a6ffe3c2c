"""The compiled kernels' cache on disk."""

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, numpy
from medray.graphs.build import build_region_graph
from medray.graphs.image_kernels import segment
from medray.image_settings import GraphRecipe
image = numpy.random.default_rng(0).normal(size=(1, 40, 40)).astype(numpy.float32)
graph = build_region_graph(image, GraphRecipe(regions=30, texture=True))
digest = hashlib.sha256(graph.x.tobytes() + graph.edge_index.tobytes()).hexdigest()
print(digest, sum(segment.stats.cache_hits.values()))
"""


def start(cache: pathlib.Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_that_compile_at_the_same_time_agree_and_the_next_one_reads_their_cache(tmp_path) -> None:
    together = [start(tmp_path) for _ in range(3)]
    first = [process.communicate()[0].split() for process in together]
    last = start(tmp_path).communicate()[0].split()
    assert all(process.returncode == 0 for process in together)
    assert {digest for digest, _ in first} == {last[0]} and last[1] == "1"


SIGNATURES = """
import itertools
import numpy as np
from medray.graphs import build, collate_kernels, connectivity_kernels, edge_kernels, merge_kernels, run_kernels
from medray.graphs import blur_kernels, image_kernels, neighbour_kernels, region_kernels, slic_kernels, texture_kernels
from medray.graphs import node_target_kernels
from medray.graphs.node_targets import class_counts
from medray.graphs import volume_connectivity_kernels, volume_region_kernels, volume_slic_kernels
from medray.graphs.volume_build import build_volume_graph
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.features import edge_feature_names
from medray.image_settings import GraphRecipe
frozen = np.random.default_rng(0).normal(size=(3, 30, 60)).astype(np.float32)
frozen.setflags(write=False)
for image in (frozen, frozen[:1, ::2], frozen[1:].copy(), frozen[:, :1]):
    for builder, mask in itertools.product(("superpixel", "grid", "knn", "multiscale"), (None, image[0] < 1)):
        recipe = GraphRecipe(builder=builder, regions=20, texture=True, lbp=True)
        graphs = graphs_to_arrow([build.build_region_graph(image, recipe, mask)])
        collate_arrow(graphs, edge_feature_names(recipe))
        collate_arrow(graphs.slice(0, 0))
    labels, mask = build.superpixel_labels(image, GraphRecipe(regions=9)), np.zeros(image.shape[1:], np.int16)
    class_counts(labels, mask, 99, 1)
    class_counts(labels[:, ::-1], mask[:, ::-1], 99, 1)
    for mask in (None, image > 0):
        build_volume_graph(image, (2.0, 1.0, 1.0), GraphRecipe(regions=20), mask)
modules = (slic_kernels, connectivity_kernels, region_kernels, edge_kernels, texture_kernels, collate_kernels)
modules += (blur_kernels, image_kernels, merge_kernels, run_kernels, neighbour_kernels, node_target_kernels)
modules += (volume_connectivity_kernels, volume_region_kernels, volume_slic_kernels)
functions = [item for module in modules for item in vars(module).items() if hasattr(item[1], "signatures")]
kernels = {name: kernel for name, kernel in functions if type(kernel._cache).__name__ != "NullCache"}
print(len(kernels), [name for name, kernel in kernels.items() if len(kernel.signatures) > 1])
"""


@pytest.mark.slow
def test_each_kernel_has_one_signature(tmp_path: pathlib.Path) -> None:
    """So that two processes never write different programs under one name. Other tests call kernels, too.

    The cache is empty, so that kernels which kernels call are compiled, too.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SIGNATURES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    count, several = done.stdout.split(maxsplit=1)
    assert int(count) > 5 and several.strip() == "[]"
