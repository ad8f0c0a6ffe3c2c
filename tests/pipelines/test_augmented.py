"""`medray train` with augmentation: training samples are changed, and nothing else is."""

from dataclasses import replace

import pyarrow as pa
import pytest

from medray import storage, tables
from medray.pipelines.train import train
from medray.samples.collate import collate
from medray.samples.tables import to_graphs
from medray.training.bundle import Bundle, load_bundle
from medray.training.fit import evaluate
from medray.training.task import Classify
from tests.pixels.test_augmentation import ALL_ON

SEED_0 = "bundles/seed-0"


def cached(uri: str) -> pa.Table:
    """The samples of a cache, by id."""
    parts = [storage.read_parquet(storage.join(uri, name)) for name in tables.read_manifest(uri)["files"]]
    return pa.concat_tables(parts).sort_by("sample_id")


def loss_on(bundle: Bundle, samples: pa.Table, side: str) -> float:
    """Of a bundle on the prepared samples of a side, by the plainest way there is."""
    rows = samples.filter(pa.compute.equal(samples["split"], side)).combine_chunks()
    batch = collate(
        rows if bundle.input_kind == "image" else to_graphs(rows, bundle.recipe, bundle.input_kind), bundle.recipe
    )
    return evaluate(bundle.build_model(), [batch], Classify(bundle.classes), device="cpu").loss


@pytest.mark.parametrize("model", ["cnn", "hybrid"])
def test_validation_and_test_samples_are_never_changed(model, trained, training, tmp_path):
    """Images are cached as they are: here those of a training of the CNN without augmentation."""
    cache = str(trained / "_cache")
    train(training(tmp_path, epochs=1, model=model, augment=ALL_ON, cache=cache))
    samples, bundle = cached(cache), load_bundle(str(tmp_path / SEED_0))
    for side in ("validation", "test"):
        assert bundle.metrics[f"{side}_loss"] == pytest.approx(loss_on(bundle, samples, side), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn", "gatedgcn"])
def test_training_samples_are_changed_anew_each_epoch_and_the_same_way_again(model, trained, training, tmp_path):
    cache = str(trained / "_cache")
    settings = training(tmp_path / "run", epochs=1, model=model, augment=ALL_ON, cache=cache)
    train(settings)
    weights = (tmp_path / "run" / SEED_0 / "weights.safetensors").read_bytes()
    train(replace(settings, out=str(tmp_path / "again")))
    assert (tmp_path / "again" / SEED_0 / "weights.safetensors").read_bytes() == weights
    less = replace(ALL_ON, noise=0.05)
    train(replace(settings, out=str(tmp_path / "less"), augment=less))
    assert (tmp_path / "less" / SEED_0 / "weights.safetensors").read_bytes() != weights
