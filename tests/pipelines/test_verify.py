"""`medray score --verify`: whatever is not one row a sample, or not what the ledgers say, is found."""

import json
import shutil

import pyarrow as pa
import pytest

from medray import storage, tables
from medray.errors import OutputError
from medray.pipelines.index import index
from medray.pipelines.score import score
from medray.pipelines.verify import verify
from medray.settings import IndexSettings
from tests.pipelines.bundles import drawn_scoring
from tests.pipelines.here import without_ray


@pytest.fixture(scope="module")
def predictions(phantoms, tmp_path_factory):
    """The phantom archive, indexed and scored."""
    folder = tmp_path_factory.mktemp("verify")
    with without_ray():
        index(IndexSettings(str(phantoms), str(folder / "index")))
        score(drawn_scoring(folder / "index", folder)(folder / "out"))
    return folder / "out"


def _copy(predictions, folder, rows=lambda rows: rows, facts=lambda facts: facts):
    """A copy whose rows and manifest were changed by hand."""
    shutil.copytree(predictions, folder)
    [name] = tables.read_manifest(str(folder))["files"]
    table = storage.read_parquet(storage.join(str(folder), name))
    changed = pa.Table.from_pylist(rows(table.to_pylist()), table.schema)
    storage.write_parquet(storage.join(str(folder), name), changed)
    manifest = tables.read_manifest(str(folder)) | {"rows": changed.num_rows}
    (folder / tables.MANIFEST).write_text(json.dumps(facts(manifest)))
    return str(folder)


def test_whole_predictions_have_the_counts_of_their_rows(predictions):
    rows = tables.read_table(str(predictions)).to_pylist()
    failed = sum(row["status"] == "failed" for row in rows)
    counts = verify(str(predictions))
    assert counts["rows"] == len(rows) == counts["ok"] + counts["failed"] and counts["failed"] == failed > 0
    assert counts["objects"] == len({row["object_id"] for row in rows})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1:], "1 objects with a wrong count, 0 unknown, 0 doubled"),
        (lambda rows: [*rows, rows[0]], "1 objects with a wrong count, 0 unknown, 1 doubled"),
        (lambda rows: [*rows, rows[0] | {"object_id": "x", "sample_id": "x:0"}], "1 unknown"),
        (lambda rows: [], "0 unknown, 0 doubled"),
    ],
    ids=["a row is missing", "a row is doubled", "a row is of no object", "all are missing"],
)
def test_rows_that_are_not_one_a_sample_are_found(predictions, tmp_path, change, said):
    with pytest.raises(OutputError, match=said):
        verify(_copy(predictions, tmp_path / "copy", change))


def test_a_status_that_was_changed_and_a_failure_without_a_reason_are_found(predictions, tmp_path):
    def unscored(rows):
        return [row | {"status": "failed", "reason": "internal"} if row["status"] == "ok" else row for row in rows]

    def unreasoned(rows):
        return [row | {"reason": None} for row in rows]

    with pytest.raises(OutputError, match="has other counts in its manifest than in its rows"):
        verify(_copy(predictions, tmp_path / "status", unscored))
    with pytest.raises(OutputError, match="does not add up: .* failed is off"):
        verify(_copy(predictions, tmp_path / "reason", unreasoned))


def test_a_manifest_with_another_ledger_of_its_index_is_found(predictions, tmp_path):
    def changed(facts):
        return facts | {"index_funnel": facts["index_funnel"] | {"listed": facts["index_funnel"]["listed"] + 1}}

    with pytest.raises(OutputError, match="another ledger of its index"):
        verify(_copy(predictions, tmp_path / "copy", facts=changed))
