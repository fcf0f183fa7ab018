"""`meterfleet …`: the command line; every command can print JSON for programs.

Exit codes: 0 done, 1 the platform said no (the problem is printed), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from services.cli.serve import Service
from services.kit.errors import MeterfleetError

app = typer.Typer(
    no_args_is_help=True, add_completion=True, help="Open smart-metering cloud platform."
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def serve(
    service: Annotated[Service, typer.Argument(help="Which process to be.")],
) -> None:
    """Run one service until it is told to stop (settings: METERFLEET_…)."""
    from services.cli.serve import serve as run
    from services.kit.settings import KitSettings, load

    settings = load(KitSettings)
    run(service, level=settings.log_level, style=settings.log_format)


@app.command()
def up(
    *,
    demo: Annotated[bool, typer.Option(help="Load the demo city and keep it living.")] = True,
    as_json: Json = False,
) -> None:
    """Start everything on this machine, load a demo city, serve until Ctrl-C."""
    from services.cli.up import run

    run(with_demo=demo, as_json=as_json)


@app.command()
def demo(
    readings: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Parquet or CSV of water registers.")
    ],
    *,
    zone: Annotated[str, typer.Option(help="Zone of the file's wall times.")] = "Europe/Madrid",
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the data here instead of in a temporary folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take real registers through the whole flow, from file to bills, and count everything."""
    from services.cli.demo import run

    run(readings, zone=zone, data_dir=data_dir, as_json=as_json)


@app.command()
def loadtest(
    scenario: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="A scenario file.")
    ] = None,
    *,
    running: Annotated[
        bool, typer.Option(help="Test the platform that runs here, not one of its own.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send simulated readings on schedule and prove what became of each."""
    from services.cli.load import run

    run(scenario, running=running, as_json=as_json)


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Look at the parts of a platform and say what is wrong and what to do."""
    from services.cli.doctor import run

    run(as_json=as_json)


bench_app = typer.Typer(no_args_is_help=True, help="What a part costs on this machine.")
app.add_typer(bench_app, name="bench")


@bench_app.callback()
def bench() -> None:
    """What a part costs on this machine, as ratios within one run."""


@bench_app.command("ingest")
def bench_ingest(
    *,
    readings: Annotated[int, typer.Option(min=10_000, help="Readings a run and road.")] = 1_000_000,
    meters: Annotated[int, typer.Option(min=100, help="Meters of the fleet.")] = 10_000,
    runs: Annotated[int, typer.Option(min=1, max=20, help="Counted runs.")] = 5,
    as_json: Json = False,
) -> None:
    """The whole road by gRPC and by JSON beside bare COPY, on a platform of its own."""
    from services.cli.bench import run

    run(readings=readings, meters=meters, runs=runs, as_json=as_json)


readings_app = typer.Typer(no_args_is_help=True, help="Readings of a running platform.")
app.add_typer(readings_app, name="readings")


@readings_app.command("import")
def import_readings(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=".csv or .parquet")],
    *,
    obis: Annotated[str, typer.Option(help="Channel of all readings, for example 8-0:1.0.0.")],
    unit: Annotated[str, typer.Option(help="Unit of the values: m3, L, kWh, ….")],
    meter: Annotated[str, typer.Option(help="Column of the meter.")] = "meter",
    at: Annotated[str, typer.Option(help="Column of the instant or wall time.")] = "at",
    value: Annotated[str, typer.Option(help="Column of the value.")] = "value",
    zone: Annotated[str, typer.Option(help="Zone of wall times without offset.")] = "",
    as_json: Json = False,
) -> None:
    """Send a file of readings to the platform that runs here."""
    from services.cli.readings import run

    columns = {"meter": meter, "at": at, "value": value, "obis": obis, "unit": unit, "zone": zone}
    run(path, columns=columns, as_json=as_json)


@app.command("version")
def show_version(*, as_json: Json = False) -> None:
    """Print the version."""
    number = version("meterfleet")
    print(json.dumps({"version": number}) if as_json else number)


def main() -> None:
    """Entry point; turns our errors into one clear problem on standard error."""
    try:
        app()
    except MeterfleetError as error:
        print(json.dumps(error.as_problem(), indent=2), file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
