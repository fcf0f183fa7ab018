"""`meterfleet readings import`: a file of readings into a running platform."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from services.cli.client import KEY_VARIABLE, known_key, platform_at, wait_until_drained
from services.cli.ports import Ports
from services.cli.progress import Steps
from services.cli.settings import TreeSettings
from services.kit.errors import InvalidInputError, UnauthenticatedError
from services.kit.settings import load

#: Rows sent at once; as Parquet they stay far below the bound on a request's body.
PART_ROWS = 1_000_000
PARQUET = "application/vnd.apache.parquet"
DRAIN_TIMEOUT_S = 3600.0


def run(path: Path, *, columns: dict[str, str], as_json: bool) -> None:
    """Send a file in parts, wait until it is stored, print the tally.

    Args:
        path: A .csv or .parquet file.
        columns: meter, at, value, obis, unit, zone as the import door takes them.
        as_json: Whether to print JSON.
    """
    settings = load(TreeSettings)
    key = known_key(settings.data_dir)
    if key is None:
        raise UnauthenticatedError(f"set {KEY_VARIABLE} to an operator's API key")
    platform = platform_at(Ports(settings.port_base), key)
    table = _table(path, columns)
    sent = 0
    with Steps() as steps:
        with steps.counting("sending", table.num_rows) as counting:
            for part in _parts(table):
                sent += platform.post_file("/v1/imports", part, PARQUET, **columns)["readings"]
                counting.at(sent)
        with steps.counting("storing and validating"):
            tally = wait_until_drained(platform, lambda _: None, DRAIN_TIMEOUT_S)
    result = {"sent": sent, **tally}
    if as_json:
        print(json.dumps(result))
    else:
        there = (
            f"{tally['stored']:,} stored, {tally['duplicates']:,} duplicates,"
            f" {tally['quarantined']:,} in quarantine"
        )
        print(f"{sent:,} readings sent; the platform now has {there}")


def _table(path: Path, columns: dict[str, str]) -> pa.Table:
    """The file's three columns; CSV values stay texts, so that no float comes in between."""
    names = [columns[name] for name in ("meter", "at", "value")]
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path, columns=names)
    if path.suffix == ".csv":
        texts = {columns["meter"]: pa.string(), columns["value"]: pa.string()}
        options = pyarrow.csv.ConvertOptions(column_types=texts, include_columns=names)
        return pyarrow.csv.read_csv(path, convert_options=options)
    raise InvalidInputError(f"{path}: a file ends with .parquet or .csv", code="file.type")


def _parts(table: pa.Table) -> Iterator[bytes]:
    for start in range(0, table.num_rows, PART_ROWS):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table.slice(start, PART_ROWS), sink)
        yield sink.getvalue()
