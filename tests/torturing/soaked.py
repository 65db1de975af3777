"""The page that a soak writes, and its graph."""

import time

import matplotlib
import table
from steady import HELD

matplotlib.use("agg")

from matplotlib import pyplot

PAGE = """\
# Soak

{minutes:.0f} minutes at {rate:,} records a second, with one fault after the other, by a release build. Written by

```sh
tests/soak
```

on {date}, with {machine}; seed {seed}.

![memory, file handles, threads and lag over the time](soak.png)

Grey: a fault. Black: the valve that lived from beginning to end; the coloured ones were killed, put to sleep or replaced by others.

| of the valve that lived throughout | early | late |
|---|---|---|
{held}

*Early*: the median of the second sixth of the time (of open files and sockets, what a tenth of the looks exceeded); *late*: of the last. The most that any valve had resident was {peak:.0f} MiB, without its
program's pages, of a budget of 256 MiB.

| produced | rows | doubled | missing | files | dead letters | faults | failures |
|---|---|---|---|---|---|---|---|
| {produced:,} | {rows:,} | {doubled} | {missing} | {files:,} | {letters:,} | {faults} | {failures} |

Rows are counted by fastavro, record by record; one in 1,000 records is bad and has to be a dead letter (once at least: a valve that is killed
may leave one twice), one in 5,000 has no value. *Failures*: anything that isn't as it should be, listed here.
{wrong}
## The faults

| begun | lasted | what | committed after |
|---|---|---|---|
{troubles}

*Committed after*: seconds from the fault's end until all that had been produced by then was committed.
"""


def write_page(path, soak, found):
    draw(path.with_suffix(".png"), soak)
    held = soak.watch.held
    rows = [
        f"| {HELD[what]} | {early:.1f} | {late:.1f} |" for what, early, late, _ in held[0].compared(soak.lasting)
    ]
    troubles = [
        f"| {begun / 60:.1f} min | {lifted - begun:.0f} s | {what} | {'never' if caught_up is None else f'{caught_up:.0f} s'} |"
        for what, begun, lifted, caught_up in soak.faults
    ]
    path.write_text(PAGE.format(
        minutes=soak.options.minutes, rate=soak.options.rate, date=time.strftime("%Y-%m-%d"), machine=table.machine(),
        seed=soak.options.seed, held="\n".join(rows), peak=max(max(each.resident) for each in held.values()),
        produced=soak.traffic.records, rows=found.rows, doubled=found.doubled, missing=found.missing, files=found.files,
        letters=found.dead_letters, faults=len(soak.faults), failures=len(soak.failures),
        wrong="".join(f"\n- {text.replace(str(soak.logs), '…')}" for text in soak.failures) + "\n" * bool(soak.failures), troubles="\n".join(troubles),
    ))


def draw(path, soak):
    held = soak.watch.held
    figure, panels = pyplot.subplots(4, 1, sharex=True, figsize=(11, 10), constrained_layout=True)
    for panel, (what, unit) in zip(panels, HELD.items()):
        for number, each in sorted(held.items(), reverse=True):
            style = {"color": "black", "linewidth": 1.6} if number == 0 else {"linewidth": 0.8, "alpha": 0.7}
            panel.plot([at / 60 for at in each.at], getattr(each, what), **style)
        panel.set_ylabel(unit)
    panels[3].plot([at / 60 for at, _ in soak.watch.lag], [lag for _, lag in soak.watch.lag], color="tab:red", linewidth=1)
    panels[3].set_ylabel("records not committed")
    panels[3].set_xlabel("minutes")
    for panel in panels:
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        for _, begun, lifted, _ in soak.faults:
            panel.axvspan(begun / 60, lifted / 60, color="0.85", linewidth=0)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)
