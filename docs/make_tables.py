"""Write docs/tables.md from the schemas: `python docs/make_tables.py`. A test holds the page to them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from medray import schema
from medray.errors import Reason
from medray.reports.reasons import REASONS

PAGE = Path(__file__).with_name("tables.md")
TABLES = {
    "index": (schema.INDEX, "One object or shard member."),
    "predictions": (schema.PREDICTIONS, "One sample: a frame of an image, or an image that could not be read."),
    "history": (schema.HISTORY, "One epoch of one seed."),
    "metrics": (schema.METRICS, "One metric of one class in one subgroup."),
}
HEAD = """# Tables

Made by `python docs/make_tables.py` from `medray/schema.py`; edit that.

A table is a folder of Parquet files. `_MANIFEST.json` is written last and names the files, the rows and the counts; a
folder without it is not finished. `_RUN.json` holds what the job was asked for, so that only the same command goes on.
Any Parquet reader opens the files that the manifest names.
"""


def lines() -> Iterator[str]:
    """The page's lines."""
    yield HEAD
    for name, (table, row) in TABLES.items():
        yield f"## {name}\n\n{row}\n\n| column | type | what it is |\n|---|---|---|"
        yield from (_row(field) for field in table)
        yield ""
    yield "## Reasons\n\nWhy an object or sample is skipped or failed.\n\n| reason | meaning | cure |\n|---|---|---|"
    yield from (f"| `{reason.value}` | {REASONS[reason][0]} | {REASONS[reason][1]} |" for reason in Reason)


def _row(field: pa.Field) -> str:
    comment = (field.metadata or {}).get(b"comment", b"").decode()
    return f"| `{field.name}` | {str(field.type).replace('<element: ', '<').replace('<item: ', '<')} | {comment} |"


def page() -> str:
    """The page."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
