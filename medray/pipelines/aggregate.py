"""The last pass of `medray score`: finished predictions → one row a series, study or patient."""

from typing import Any

from medray import __version__, storage, tables
from medray.errors import OutputError
from medray.pipelines.progress import say
from medray.schema import AGGREGATES
from medray.scoring.aggregate import COUNTED, GROUP, TO_AGGREGATE, Rule, aggregate, count_groups
from medray.settings import AggregateLevel
from medray.training.task import Classify


def aggregate_predictions(predictions: str, rule: Rule, level: AggregateLevel) -> dict[str, Any]:
    """Aggregate finished predictions of a classification, once; the manifest.

    Raises:
        OutputError: there are aggregates of this kind of other predictions.
    """
    source = tables.read_manifest(predictions)
    out = storage.join(predictions, tables.AGGREGATES, f"{level}-{rule}")
    run = {"job": "aggregate", "rule": rule, "level": level, "model_id": source["model_id"], "medray": __version__}
    if tables.claim(out, run):
        return tables.read_manifest(out)
    groups = aggregate(
        tables.iter_tables(predictions, TO_AGGREGATE),
        Classify(tuple(source["classes"]), threshold=source["threshold"]),
        rule=rule,
        level=level,
        facts={name: source[name] for name in ("model_id", "recipe_id")},
    )
    facts = {**run, "classes": source["classes"], "threshold": source["threshold"], "predictions": source["rows"]}
    manifest = tables.finish(out, "aggregates", [groups], schema=AGGREGATES, facts=lambda: facts)
    verify_aggregates(predictions)
    say(f"score: {groups.num_rows:,} groups by {level}, {rule} of {source['rows']:,} samples, in {out}")
    return manifest


def verify_aggregates(predictions: str) -> int | None:
    """Prove that each table of aggregates has each group of the predictions once, with all of its samples; how many.

    None where nobody asked for any.

    Raises:
        OutputError: a group is missing, doubled, unknown, or counts other samples than the predictions hold.
    """
    folder = storage.join(predictions, tables.AGGREGATES)
    names = sorted(storage.names(folder))
    for name in names:
        uri = storage.join(folder, name)
        level = tables.read_manifest(uri)["level"]
        expected = count_groups(tables.iter_tables(predictions, TO_AGGREGATE[:-1]), level)
        found = tables.read_table(uri, [*GROUP, *COUNTED]).sort_by([(column, "ascending") for column in GROUP])
        if not found.equals(expected.cast(found.schema)):
            raise OutputError(
                f"{uri} does not hold each group of its predictions once: {found.num_rows:,} rows of "
                f"{expected.num_rows:,} groups, or other counts.",
                "Delete that folder and run the command again; please report it.",
            )
    return len(names) or None
