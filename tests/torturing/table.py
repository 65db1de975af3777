"""The page that a run writes: what was injected, for how long, and what came of it."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import shown

PAGE = """\
# Torture

What goes wrong in production, on purpose: the real binary on a real Kafka, registry, store and Consul, each fault injected
while 400 records a second are produced, three versions of a schema and four hours mixed, with some bad ones among them. Written by

```sh
tests/torture
```

on {date}, in {minutes} minutes, with {machine}.

Every trial must end like this, or its outcome says what was different:

- fastavro finds each record once, under the right hour; only the bad ones are dead letters; `valve audit` says `PROVEN`;
- while the fault lasts `/livez` answers 200, and `/readyz` tells the reason, or valve goes on committing;
- only a broker that can't be reached costs the membership in the group, until 10 s after the fault at the latest;
- what was in the log when the fault ended is committed 30 s later, and `/readyz` is well after 45 s (a complaint of the Kafka
  client stands for 30 s), by the same process;
- at most 64 MiB more than the memory budget (256 MiB) are resident, and SIGTERM ends the process with exit code 0.

| before | injected | for | `/readyz` meanwhile | committed meanwhile | no member | committed after | ready after | memory | rows | doubled | missing | outcome |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

- *Before*: the service that the fault stood in front of. Before the registry and Consul, valve is started while the fault is
  there: it asks them then.
- *Cluster*: three brokers of the trial's own, replication 3.
- *Clock*: the wall clock of valve's process alone (`tests/torturing/clock.c`), with waits that end at a time of the day, as in a machine whose
  clock is set. Records are stored by the time of processing: under the hour that this clock showed when they were taken, be it wrong.
  S3 refuses requests that are signed 15 minutes or more away from its own time.
- *No member*: for how long the group had none. *Committed after*, *ready after*: seconds since the fault ended.
- *Memory*: the most that was resident, without the program's own pages.
{skipped}
What else may happen to a log or a group has a test of its own among the end-to-end tests (`tests/run --only e2e -- NAME`):

| what | test |
|---|---|
{shown}
"""


def row(outcome):
    seconds = [outcome.get("recovered"), outcome.get("ready")]
    cells = [
        outcome["target"],
        outcome["injected"],
        f"{outcome.get('lasted', 0):.0f} s",
        shorten(outcome.get("shown") or "well"),
        outcome.get("committed_meanwhile", ""),
        f"{outcome.get('away', 0):.0f} s",
        *("never" if value is None else f"{value:.0f} s" for value in seconds),
        f"{outcome.get('peak', 0) >> 20} MiB",
        *(outcome.get(name, "") for name in ("rows", "doubled", "missing")),
        "; ".join(outcome["failures"]) or "well",
    ]
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def shorten(text, length=160):
    return text if len(text) <= length else f"{text[:length]}…"


def machine():
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    processor = model[0].split(":")[1].strip() if model else platform.machine()
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return f"{os.cpu_count()} cores of {processor}, {memory} GiB, {system}, fastavro {version('fastavro')}"


def page(outcomes, skipped, seconds):
    return PAGE.format(
        date=time.strftime("%Y-%m-%d"),
        minutes=f"{seconds / 60:.0f}",
        machine=machine(),
        rows="\n".join(map(row, outcomes)),
        shown=shown.rows(),
        skipped="".join(f"\nSkipped {line}.\n" for line in skipped),
    )
