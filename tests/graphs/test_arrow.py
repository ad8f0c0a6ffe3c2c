"""medray/graphs/arrow.py."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medray.graphs.arrow import arrow_to_graphs, collate_arrow, graph_schema, graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

PARTS = ("x", "pos", "edge_index", "edge_attr", "level")
ALL = ("boundary_length", "contrast", "distance", "dy", "dx", "mean_difference")


@pytest.fixture(scope="module")
def graphs() -> list[RegionGraph]:
    sizes = [(20, 30), (28, 28), (1, 1), (64, 64), (50, 10)]
    return [
        build_region_graph(ellipses(64, k)[0][None, :r, :c], GraphRecipe(regions=30)) for k, (r, c) in enumerate(sizes)
    ]


def one_line(nodes: int) -> RegionGraph:
    """A graph of two regions that touch, among many that touch nothing."""
    kind = np.uint16 if nodes <= 65_535 else np.int32
    ends = np.array([[0], [nodes - 1]], kind)
    x, pos, edge = (np.ones(shape, np.float32) for shape in ((nodes, 3), (nodes, 2), (1, 2)))
    return RegionGraph(x, pos, ends, edge, np.zeros(nodes, np.uint8))


def of_a_volume() -> RegionGraph:
    """A graph with positions in three dimensions."""
    drawn = np.random.default_rng(3)
    x, pos, edges = (drawn.normal(size=shape).astype(np.float32) for shape in ((5, 4), (5, 3), (4, 2)))
    ends = np.array([[0, 0, 1, 3], [1, 4, 2, 4]], np.uint16)
    return RegionGraph(x, pos, ends, edges, np.zeros(5, np.uint8))


def collate_by_hand(graphs: list[RegionGraph]) -> tuple[np.ndarray, np.ndarray]:
    """Directed edges sorted by (target, source), and their six features."""
    rows, start = [], 0
    for graph in graphs:
        scale = np.sqrt(graph.num_nodes)
        for (a, b), stored in zip(graph.edge_index.T.tolist(), graph.edge_attr, strict=True):
            for source, target in ((a, b), (b, a)):
                dy, dx = (graph.pos[source].astype(float) - graph.pos[target]) * scale
                gap = graph.x[source, 1] - graph.x[target, 1]
                rows.append([start + target, start + source, *stored, np.hypot(dy, dx), dy, dx, gap])
        start += graph.num_nodes
    table = np.array(sorted(rows))
    return table[:, 1::-1].T.astype(int), table[:, 2:]


def test_graphs_come_back_bit_for_bit(graphs: list[RegionGraph]) -> None:
    for one, other in zip(graphs, arrow_to_graphs(graphs_to_arrow(graphs)), strict=True):
        assert all(getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in PARTS)
        assert all(getattr(one, part).dtype == getattr(other, part).dtype for part in PARTS)


def test_parquet_slices_and_chunks_change_nothing(graphs: list[RegionGraph]) -> None:
    file = io.BytesIO()
    table = graphs_to_arrow(graphs)
    pq.write_table(pa.concat_tables([table, table]), file, compression="zstd", use_dictionary=False, row_group_size=3)
    back = pq.read_table(file)
    for part, values in collate_arrow(back.slice(1, 6)).items():
        assert np.array_equal(values, collate_arrow(graphs_to_arrow((graphs * 2)[1:7]))[part])


def test_collate_is_brute_force_concatenation(graphs: list[RegionGraph]) -> None:
    batch = collate_arrow(graphs_to_arrow(graphs))
    edge_index, edge_attr = collate_by_hand(graphs)
    assert np.array_equal(batch["edge_index"], edge_index)
    np.testing.assert_allclose(batch["edge_attr"], edge_attr, rtol=1e-4, atol=1e-5)
    assert np.array_equal(batch["x"], np.concatenate([graph.x for graph in graphs]))
    sizes = [graph.num_nodes for graph in graphs]
    assert np.array_equal(batch["batch"], np.repeat(np.arange(5), sizes))
    assert batch["ptr"].tolist() == [0, *np.cumsum(sizes)]
    assert all(batch[name].flags.writeable for name in ("x", "edge_index", "edge_attr", "batch"))
    assert all(values.flags.c_contiguous for values in batch.values())


def test_collate_agrees_with_torch_geometric(graphs: list[RegionGraph]) -> None:
    data = pytest.importorskip("torch_geometric.data")
    import torch

    items = [data.Data(x=torch.tensor(g.x), edge_index=torch.tensor(g.edge_index.astype(np.int64))) for g in graphs]
    theirs, ours = data.Batch.from_data_list(items), collate_arrow(graphs_to_arrow(graphs))
    forward = ours["edge_index"][:, ours["edge_index"][0] < ours["edge_index"][1]]
    assert set(map(tuple, forward.T)) == set(map(tuple, theirs.edge_index.T.numpy()))
    assert np.array_equal(ours["x"], theirs.x.numpy()) and np.array_equal(ours["batch"], theirs.batch.numpy())


def test_a_mirrored_image_changes_only_the_sign_of_dx() -> None:
    image = ellipses(64, 7)[0][None]
    grid = GraphRecipe(builder="grid", regions=64)
    left, right = (collate_arrow(graphs_to_arrow([build_region_graph(i, grid)])) for i in (image, image[:, :, ::-1]))
    sign = np.where(np.array(ALL) == "dx", -1, 1)
    order = [np.lexsort(np.round(a, 4).T) for a in (left["edge_attr"] * sign, right["edge_attr"])]
    np.testing.assert_allclose((left["edge_attr"] * sign)[order[0]], right["edge_attr"][order[1]], atol=1e-4)


def test_directions_can_be_left_out(graphs: list[RegionGraph]) -> None:
    table, names = graphs_to_arrow(graphs), edge_feature_names(GraphRecipe())
    assert names == ("boundary_length", "contrast", "distance", "mean_difference")
    assert edge_feature_names(GraphRecipe(position=True)) == ALL
    assert np.array_equal(collate_arrow(table, names)["edge_attr"], collate_arrow(table)["edge_attr"][:, [0, 1, 2, 5]])


@pytest.mark.parametrize(("nodes", "kind"), [(65_535, pa.uint16()), (65_536, pa.int32())])
def test_large_graphs_have_32_bit_node_numbers(nodes: int, kind: pa.DataType) -> None:
    graph = one_line(nodes)
    graph.check()
    table = graphs_to_arrow([one_line(3), graph])
    assert table.schema.field("edge_index").type == pa.list_(kind)
    assert collate_arrow(table)["edge_index"].tolist() == [[2, 0, nodes + 2, 3], [0, 2, 3, nodes + 2]]
    assert [back.edge_index.dtype for back in arrow_to_graphs(table)] == [np.uint16, graph.edge_index.dtype]


def test_null_rows_and_no_rows_have_no_nodes(graphs: list[RegionGraph]) -> None:
    table = graphs_to_arrow(graphs)
    batch = collate_arrow(table.take(pa.array([0, None, 1], pa.int64())))
    assert batch["ptr"].tolist() == [0, graphs[0].num_nodes, graphs[0].num_nodes, len(batch["x"])]
    empty = collate_arrow(table.slice(0, 0))
    assert empty["edge_index"].shape == (2, 0) and empty["ptr"].tolist() == [0]
    assert graphs_to_arrow([]).schema == table.schema


def test_rows_that_do_not_add_up_are_refused(graphs: list[RegionGraph]) -> None:
    table = graphs_to_arrow([one_line(3), one_line(4)])
    far = table.set_column(4, "edge_index", pa.array([[0, 2], [0, 4]], pa.list_(pa.uint16())))
    with pytest.raises(ValueError, match="row 1: an edge names a node that does not exist"):
        collate_arrow(far)
    many = table.set_column(1, "num_edges", pa.array([1, 2], pa.int32()))
    with pytest.raises(ValueError, match="edge_index holds 4 values where the counts ask for 6"):
        arrow_to_graphs(many)


@pytest.mark.parametrize("builder", ["superpixel", "grid", "knn", "multiscale"])
def test_parquet_keeps_every_builders_graphs_bit_for_bit(builder: str) -> None:
    recipe = GraphRecipe(builder=builder, regions=40, texture=True, lbp=True)
    graphs = [build_region_graph(np.stack([ellipses(40, k + c)[0] for c in range(3)]), recipe) for k in range(3)]
    file = io.BytesIO()
    pq.write_table(graphs_to_arrow(graphs).cast(graph_schema(recipe, channels=3)), file, compression="zstd")
    back = pq.read_table(file)
    assert back.schema.field("x").metadata[b"features"].decode() == ",".join(node_feature_names(recipe, 3))
    for one, other in zip(graphs, arrow_to_graphs(back), strict=True):
        assert all(getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in PARTS)


def test_half_precision_keeps_eleven_bits(graphs: list[RegionGraph]) -> None:
    table = graphs_to_arrow(graphs, np.float16)
    assert table.schema.equals(graph_schema(GraphRecipe(), dtype=np.float16))
    for one, other in zip(graphs, arrow_to_graphs(table), strict=True):
        for part in ("x", "edge_attr"):
            exact, halved = getattr(one, part), getattr(other, part)
            assert halved.dtype == np.float32 and np.all(abs(halved - exact) <= np.maximum(abs(exact) * 2**-11, 2**-25))
        assert one.pos.tobytes() == other.pos.tobytes() and np.array_equal(one.edge_index, other.edge_index)
    assert collate_arrow(table)["x"].dtype == np.float32
    with pytest.raises(ValueError, match="70000 does not fit float16"):
        graphs_to_arrow([replace(one_line(3), x=np.full((3, 3), 7e4, np.float32))], np.float16)


def test_every_column_says_what_it_holds_and_names_its_features(graphs: list[RegionGraph]) -> None:
    schema = graph_schema(GraphRecipe(position=True))
    assert graphs_to_arrow(graphs).schema.equals(schema)
    assert all(field.metadata[b"comment"] for field in schema)
    assert schema.field("edge_attr").metadata[b"features"] == b"boundary_length,contrast"
    assert graph_schema(GraphRecipe(), dims=3).field("pos").metadata[b"features"] == b"slice,row,column"


def test_edges_between_levels_are_told_from_those_within() -> None:
    recipe = GraphRecipe(builder="multiscale", regions=40)
    graphs = [build_region_graph(ellipses(40, k)[0][None], recipe) for k in range(3)]
    names = edge_feature_names(recipe)
    assert names[-2:] == ("to_parent", "to_child") and "dy" not in names
    batch = collate_arrow(graphs_to_arrow(graphs), names)
    rise = np.diff(batch["level"][batch["edge_index"]].astype(int), axis=0)[0]
    kinds = batch["edge_attr"][:, -2:]
    assert np.array_equal(kinds, np.stack([rise == 1, rise == -1], axis=1))
    assert kinds.sum(axis=0).tolist() == [np.count_nonzero(batch["level"] < 2)] * 2
    base = np.sqrt([np.count_nonzero(graph.level == 0) for graph in graphs])[batch["batch"][batch["edge_index"][0]]]
    apart = np.linalg.norm(np.diff(batch["pos"][batch["edge_index"]], axis=0)[0], axis=1)
    np.testing.assert_allclose(batch["edge_attr"][:, names.index("distance")], apart * base, rtol=1e-4, atol=1e-6)


def test_volumes_have_a_third_direction() -> None:
    graph = of_a_volume()
    graph.check()
    assert arrow_to_graphs(graphs_to_arrow([graph, graph]))[1].pos.tobytes() == graph.pos.tobytes()
    batch = collate_arrow(graphs_to_arrow([graph, graph]), ("distance", "dz", "dy", "dx", "mean_difference"))
    source, target = batch["edge_index"]
    steps = (batch["pos"][source] - batch["pos"][target]).astype(float) * 5 ** (1 / 3)
    gaps = batch["x"][source, 1] - batch["x"][target, 1]
    wanted = np.column_stack([np.linalg.norm(steps, axis=1), steps, gaps])
    np.testing.assert_allclose(batch["edge_attr"], wanted, rtol=1e-5, atol=1e-6)
    alone = collate_arrow(graphs_to_arrow([graph, graph]), ("distance",))["edge_attr"]
    assert np.array_equal(alone, batch["edge_attr"][:, :1])
    with pytest.raises(ValueError, match="graphs of 2 dimensions have no edge feature 'dz'"):
        collate_arrow(graphs_to_arrow([one_line(3)]), ("dz",))
