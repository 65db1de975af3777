"""How fast, and how much CPU per record."""

import json
import os
import subprocess
from pathlib import Path
from statistics import median

from runs import run_floor, run_valve
from table import Goal, Row
from topics import Kind

CONNECT = "Kafka Connect 4.1.1, Confluent's S3 sink 12.1.9"


def valve(bench, kind, sink="s3", **settings):
    return lambda: run_valve(kind, bench.topics, sink, keep=bench.options["keep"], **settings)


def in_order(bench):
    two = Kind(bench.records(2_000_000), compression=bench.options["compression"])
    eight = Kind(bench.records(8_000_000), compression=bench.options["compression"])
    bench.row(
        Row(
            f"{two.records / 1e6:g} M in order, snappy, S3",
            [Goal("per_cpu_second", 16 * 62_500)],
            {"who": CONNECT, "per_second": "100-105 k", "per_cpu_second": "61-64 k", "peak_mib": "1300-1500", "files": "96"},
        ),
        valve(bench, two, CODEC="snappy"),
    )
    bench.row(
        Row(
            f"{two.records / 1e6:g} M in order, null, S3",
            [],
            {"who": CONNECT, "per_second": "105-112 k", "per_cpu_second": "64-72 k", "peak_mib": "1300-1500", "files": "96"},
        ),
        valve(bench, two, CODEC="null"),
    )
    bench.row(
        Row(
            f"{eight.records / 1e6:g} M in order, snappy, S3",
            [Goal("per_cpu_second", 12 * 86_000), Goal("per_second", 5 * 145_000)],
            {"who": CONNECT, "per_second": "145 k", "per_cpu_second": "86 k", "peak_mib": "1500", "files": "96"},
        ),
        valve(bench, eight, CODEC="snappy"),
    )
    bench.run()


def shuffled(bench):
    kind = Kind(bench.records(1_000_000), order="shuffled", hours=200, compression=bench.options["compression"])
    goals = [Goal("per_cpu_second", 25 * 37_000), Goal("peak_mib", 200, at_least=False, worst=True),
             Goal("files", 800, at_least=False)]
    theirs = {"who": f"{CONNECT}, elastic buffers", "per_second": "55-60 k", "per_cpu_second": "34-37 k",
              "peak_mib": "850-1700", "files": "800"}
    bench.row(
        Row(f"{kind.records / 1e6:g} M shuffled over 200 h, snappy, S3, budget 128 MiB", goals, theirs),
        valve(bench, kind, CODEC="snappy", MEMORY__BUDGET="128MiB"),
    )
    bench.run()


def late(bench):
    kind = Kind(bench.records(200_000), order="late", compression=bench.options["compression"])
    # The files of an hour are shared out over its partitions.
    goals = [Goal("per_cpu_second", 100 * 4_100), Goal("fullest_hour", 10 * kind.partitions, at_least=False)]
    theirs = {"who": CONNECT, "per_second": "5.6 k", "per_cpu_second": "4.1 k", "files": "3884"}
    bench.row(Row(f"{kind.records // 1000} k, 1 % late by 1-6 h, snappy, S3", goals, theirs), valve(bench, kind, CODEC="snappy"))
    bench.run()


def floors(bench):
    kind = Kind(bench.records(2_000_000), compression=bench.options["compression"])
    drains = {
        "poll": ("drain: BaseConsumer::poll", "poll", "drop"),
        "batch": ("drain: batches", "batch", "drop"),
        "snappy": ("drain: batches, snappy", "batch", "snappy"),
        "zstd-1": ("drain: batches, zstd-1", "batch", "zstd-1"),
    }
    # Each codec with the drain that it is compared with, and how near it should come.
    compared = {"null": ("poll", 1.0), "snappy": ("snappy", 0.8), "zstd-1": ("zstd-1", 0.8)}
    latest = {}

    def drain(name, take, codec):
        latest[name] = run_floor(kind, bench.topics, take, codec)
        return latest[name]

    def stored(codec, beside):
        figures = run_valve(kind, bench.topics, "local", keep=bench.options["keep"], CODEC=codec)
        if "per_cpu_second" in figures and beside in latest:
            figures["ratio"] = figures["per_cpu_second"] / latest[beside]["per_cpu_second"]
        return figures

    for name, (title, take, codec) in drains.items():
        bench.row(Row(title), lambda name=name, take=take, codec=codec: drain(name, take, codec))
    for codec, (beside, bound) in compared.items():
        row = Row(f"valve, {codec}, local; beside {drains[beside][0]}", [Goal("ratio", bound)])
        bench.row(row, lambda codec=codec, beside=beside: stored(codec, beside))
    bench.run()


def lanes(bench):
    kind = Kind(bench.records(2_000_000), partitions=16, compression=bench.options["compression"])
    alone = []

    def with_lanes(count):
        figures = run_valve(kind, bench.topics, keep=bench.options["keep"], LANES=count, CODEC="snappy")
        if count == 1 and "cpu_s" in figures:
            alone.append(figures["cpu_s"])
        elif alone and "cpu_s" in figures:
            figures["ratio"] = figures["cpu_s"] / alone[-1]
        return figures

    for count in [1, 2, 4, 8]:
        goals = [Goal("ratio", 1.05, at_least=False)] if count > 1 else []
        title = f"{kind.records / 1e6:g} M in order, 16 partitions, snappy, S3, lanes {count} (ratio: CPU over one lane)"
        bench.row(Row(title, goals), lambda count=count: with_lanes(count))
    bench.run()
    in_process(bench)


def in_process(bench):
    """Walk, append and compress records that are in memory already, on as many threads: no broker, no client."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "lanes"]
    if bench.options["dev"]:
        command += ["--profile", "dev"]
    folder = Path(__file__).resolve().parents[1]
    environ = {**os.environ, "CARGO_TARGET_DIR": str(Path(os.environ["BENCH_BUILT"]).parent)}
    done = subprocess.run(
        [*command, "--", str(bench.rounds), str(bench.records(4_000_000))], cwd=folder, env=environ, stdout=subprocess.PIPE,
        text=True, check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    alone = median(run["per_second"] for run in said if run["threads"] == 1)
    for threads in sorted({run["threads"] for run in said}):
        runs = [{**run, "ratio": run["per_second"] / alone} for run in said if run["threads"] == threads]
        goals = [Goal("ratio", 1.8)] if threads == 2 else []
        title = f"in memory: walk, append, snappy, threads {threads} (ratio: records/s over one)"
        bench.table.add(Row(title, goals, runs=runs))
