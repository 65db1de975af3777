"""Runs what bench/run was asked for, in rounds, and writes one table for each."""

import json
import os
import signal
import sys

import machine
import memory
import standing
import throughput
from runs import Failure
from table import Table
from topics import Topics

SCENARIOS = {
    "throughput": throughput.in_order,
    "shuffled": throughput.shuffled,
    "late": throughput.late,
    "floors": throughput.floors,
    "memory": memory.matrix,
    "lanes": throughput.lanes,
    "idle": standing.idle,
    "start": standing.start,
}


class Bench:
    """What every scenario is given: topics, options, and rounds to run its rows in."""

    def __init__(self, options, table, topics):
        self.options, self.table, self.topics = options, table, topics
        self.rounds = options["repeat"] or (2 if options["quick"] else 5)

    def records(self, count):
        return count // 10 if self.options["quick"] else count

    def row(self, row, measure):
        """A row that is measured by `measure`, if it was asked for."""
        if self.options["only"] in row.title:
            row.measure = measure
            self.table.add(row)

    def run(self, rounds=None):
        """One run of each row, then the next of each: what disturbs a while disturbs all of them."""
        for number in range(rounds or self.rounds):
            for row in self.table.rows:
                self.table.note_busy(machine.wait_for_quiet(self.patience()))
                try:
                    row.runs.append(row.measure())
                except Failure as failure:
                    row.runs.append({"wrong": str(failure).split("\n")[0]})
                    print(failure, file=sys.stderr, flush=True)
                print(f"round {number + 1}: {row.title}: {short(row.runs[-1])}", flush=True)

    def patience(self):
        return 0 if self.options["dev"] or self.options["quick"] else self.options["patience"]


def short(figures):
    shown = {name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def main():
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))
    options = json.loads(os.environ["BENCH_OPTIONS"])
    about, reasons = machine.described(options), machine.why_not_results(options)
    topics, failed = Topics(), False
    for what in options["what"]:
        table = Table(what, about, reasons)
        bench = Bench(options, table, topics)
        try:
            SCENARIOS[what](bench)
        finally:
            page = table.write()  # what was measured until then, if it was stopped
        failed |= any(run.get("wrong") for row in table.rows for run in row.runs)
        print(f"\n{table.heading()}\n\n{table.text()}\n\n{page}\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
