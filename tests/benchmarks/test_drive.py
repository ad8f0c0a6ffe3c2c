import numpy as np
import pytest
import torch

from benchmarks.drive_graphs import GraphCache, graph_batch, pixel_batch, regions_of, training_batches
from benchmarks.drive_images import Photograph, flattened, random_windows
from benchmarks.drive_measures import best_threshold, ceiling, confusion_at, figures, in_view, recalls, summary, thin
from benchmarks.drive_networks import HybridInView, RefinedHybrid, StemAlone, UNetInView, multiplications
from docs.make_vessel_picture import ADDED, MISSED, NOTHING, RIGHT, judged, main
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe

TRUTH = np.array([1, 1, 0, 0, 0], bool)
SCORES = np.array([0.9, 0.4, 0.6, 0.2, 0.1])
RECIPE = GraphRecipe(regions=40)


@pytest.fixture
def photo():
    """A dark line on a disc, 40 x 36 pixels."""
    rows, columns = np.mgrid[:40, :36]
    view = np.hypot(rows - 20, columns - 18) < 17
    mask = np.where(view, np.abs(rows - columns) < 3, -1).astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 0.1, mask.shape)
    return Photograph(flattened(np.where(mask == 1, 60, 100) + noise, view), mask)


def test_figures_are_those_counted_by_hand():
    found = figures(SCORES, TRUTH, 0.4)
    assert found["auroc"] == pytest.approx(5 / 6)  # of 6 pairs, (0.4, 0.6) is the wrong way round
    assert [found["dice_half"], found["accuracy_half"]] == pytest.approx([2 / 4, 3 / 5])
    assert [found["dice_chosen"], found["accuracy_chosen"]] == pytest.approx([4 / 5, 4 / 5])
    assert confusion_at(SCORES, TRUTH, 0.5).tolist() == [[2, 1], [1, 1]]


def test_the_chosen_threshold_gives_the_largest_dice():
    draw = np.random.default_rng(1)
    truth = draw.random(400) < 0.2
    scores = truth + draw.normal(0, 1, 400)
    tried = [figures(scores, truth, value)["dice_chosen"] for value in np.unique(scores)]
    assert figures(scores, truth, best_threshold(scores, truth))["dice_chosen"] == pytest.approx(max(tried), abs=0.005)


def test_only_the_field_of_view_counts():
    mask = np.array([[1, -1], [0, 0]], np.int16)
    scores, truth = in_view([np.array([[0.5, 9.0], [0.25, 0.75]])], [Photograph(np.zeros((1, 2, 2), np.float32), mask)])
    assert scores.tolist() == [0.5, 0.25, 0.75] and truth.tolist() == [True, False, False]


def test_a_line_of_two_pixels_is_thin_and_one_of_three_is_not():
    mask = np.zeros((12, 12), np.int16)
    mask[1:3], mask[6:9], mask[11] = 1, 1, -1
    assert thin(mask).sum(axis=1).tolist() == [0, 12, 12] + [0] * 9
    said = np.zeros((12, 12), bool)
    said[2:, :8] = True
    photo = Photograph(np.zeros((1, 12, 12), np.float32), mask)
    assert recalls([said], [photo]) == {"thin": round(8 / 24, 4), "others": round(24 / 36, 4)}


def test_seeds_make_a_mean_and_an_interval():
    found = summary([{"auroc": 0.90}, {"auroc": 0.92}, {"auroc": 0.94}])
    reach = 4.3027 * 0.02 / np.sqrt(3)
    assert found["auroc"] == 0.92 and found["auroc_interval"] == pytest.approx([0.92 - reach, 0.92 + reach], abs=1e-4)
    assert "auroc_interval" not in summary([{"auroc": 0.9}])


def test_a_region_for_each_pixel_has_no_ceiling_and_one_region_says_none(photo):
    fine, coarse = (ceiling([photo], GraphRecipe(builder="grid", regions=regions)) for regions in (10**4, 1))
    assert (fine["dice"], fine["accuracy"], fine["auroc_of_shares"]) == (1, 1, 1)
    assert coarse["dice"] == 0 and coarse["auroc_of_shares"] == 0.5
    assert coarse["accuracy"] == pytest.approx((photo.mask == 0).sum() / photo.view.sum(), abs=1e-4)


def test_the_background_goes_and_the_vessel_stays_dark(photo):
    inside = photo.image[0][photo.view]
    assert [inside.mean(), inside.std()] == pytest.approx([0, 1], abs=1e-5)
    assert np.all(photo.image[0][~photo.view] == 0)
    assert photo.image[0][photo.mask == 1].max() < photo.image[0][photo.mask == 0].min()


def test_the_eight_symmetries_differ_and_keep_image_and_mask_together(photo):
    seen = [photo.symmetric(which) for which in range(8)]
    assert len({one.mask.tobytes() for one in seen}) >= 4  # the line is its own mirror image
    assert len({one.image.tobytes() for one in seen}) == 8
    assert all(one.image[0][one.mask == 1].max() < one.image[0][one.mask == 0].min() for one in seen)
    assert all(one.mask.shape == (24, 24) for one in random_windows([photo], 1, 24, np.random.default_rng(0)))


def _network(kind):
    widths = len(node_feature_names(RECIPE)), len(edge_feature_names(RECIPE))
    return kind(*widths, 2, stem=(4, 8)) if kind is RefinedHybrid else kind(*widths, 2, stem=(4, 8), answers="node")


@pytest.mark.parametrize(("kind", "answers"), [(HybridInView, "node"), (RefinedHybrid, "pixel")])
def test_a_hybrid_answers_each_node_or_pixel_and_no_place_outside_the_view(photo, kind, answers):
    batch = graph_batch(photo, regions_of(photo, RECIPE), RECIPE, reads="regions", answers=answers)
    network = _network(kind).eval()
    logits = network(**batch.inputs)
    assert logits.shape == batch.labels.shape
    assert batch.labels.sum() == photo.view.sum()
    image = torch.from_numpy(photo.image.copy())[None]
    image[0, 0, 0, 0] = 1e3  # a corner, outside the view and beyond the stem's reach
    torch.testing.assert_close(network(**{**batch.inputs, "image": image}), logits)


def test_the_refined_hybrid_answers_pixels_in_raster_order(photo):
    batch = graph_batch(photo, regions_of(photo, RECIPE), RECIPE, reads="regions", answers="pixel")
    network = _network(RefinedHybrid).eval()
    torch.nn.init.zeros_(network.from_region.weight)
    torch.nn.init.zeros_(network.from_region.bias)
    maps = network.stem(batch.inputs["image"]).permute(0, 2, 3, 1)[torch.from_numpy(photo.view)[None]]
    expected = network.answer(torch.relu(network.from_pixel(maps)))
    torch.testing.assert_close(network(**batch.inputs), expected)


@pytest.mark.parametrize("network", [UNetInView(2, (4, 4, 4, 4, 4, 4)), StemAlone(2, (4, 8))])
def test_pixels_are_answered_whatever_the_size(photo, network):
    batch = pixel_batch([photo])
    assert network(**batch.inputs).shape == batch.labels.shape == (photo.view.sum(), 2)


def test_multiplications_are_those_of_the_convolutions(photo):
    network, pixels = StemAlone(2, (4, 8)), photo.mask.size
    assert multiplications(network, pixel_batch([photo]).inputs) == pixels * (9 * 4 + 9 * 4 * 8 + 8 * 8 + 8 * 2)


def test_an_epoch_has_each_photograph_once_and_bills_what_others_built(photo):
    cache = GraphCache([photo, photo.symmetric(1)], RECIPE)
    batches = list(training_batches(cache, 0, 0, reads="graph", answers="node"))
    assert len(batches) == 2 and cache.bill() == 0
    again = list(training_batches(cache, 0, 0, reads="graph", answers="node"))
    torch.testing.assert_close(again[0].labels, batches[0].labels)
    assert cache.bill() > 0 and cache.bill() == 0


def test_the_picture_tells_found_missed_and_added_pixels_apart():
    mask = np.array([[1, 1, 0, 0, -1]], np.int16)
    photo = Photograph(np.zeros((1, 1, 5), np.float32), mask)
    chances = np.array([[0.9, 0.1, 0.9, 0.1, 0.9]])
    assert judged(chances, photo)[0].tolist() == [list(one) for one in (RIGHT, MISSED, ADDED, NOTHING, NOTHING)]


def test_the_picture_is_not_drawn_without_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDRAY_WORK", str(tmp_path))
    with pytest.raises(SystemExit, match=r"run benchmarks/drive\.py with the same MEDRAY_WORK"):
        main()
