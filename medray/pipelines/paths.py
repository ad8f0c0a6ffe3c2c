"""`medray paths`: the way back from sample ids to the archive's own names, for who holds the key."""

import argparse
from collections.abc import Sequence

from medray import tables
from medray.archive.identity import load_key, unseal
from medray.errors import OutputError


def paths(arguments: Sequence[str]) -> int:
    """Print one line a row of an index or predictions table: id, status, URI and member. They may name patients."""
    parser = argparse.ArgumentParser(prog="medray paths", description=paths.__doc__)
    parser.add_argument("--table", required=True, help="an index or a predictions table")
    parser.add_argument("--key_file", help="file with the key; none = $MEDRAY_KEY, else ~/.config/medray/key")
    parser.add_argument("--id", action="append", default=[], help="only this sample_id or object_id (may be repeated)")
    parser.add_argument("--status", help="only rows with this status: ok, skipped or failed")
    given = parser.parse_args(arguments)
    kind = tables.read_manifest(given.table)["kind"]
    if kind not in ("index", "predictions"):
        raise OutputError(f"{given.table} is a table of {kind}.", "Give an index or a predictions table.")
    key, name = load_key(given.key_file), "sample_id" if kind == "predictions" else "object_id"
    for table in tables.iter_tables(given.table, [name, "status", "reason", "uri", "member"]):
        for row in table.to_pylist():
            if (not given.id or row[name] in given.id) and given.status in (None, row["status"]):
                member = unseal(key, row["member"]) if row["member"] else ""
                print("\t".join([row[name], row["status"], row["reason"] or "", unseal(key, row["uri"]), member]))
    return 0
