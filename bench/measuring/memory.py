"""How much memory at the most, whatever the input is like."""

import itertools

from runs import run_valve
from table import Goal, Row
from topics import Kind

BUDGETS = [128, 256, 512]
HOURS = [1, 200, 10_000]
PARTITIONS = [1, 12, 1_000]
SCHEMAS = [1, 50]
REPETITIVE = [False, True]
LANES = [1, 16]
BESIDE = 64  # MiB above the budget
LIMIT = 60  # seconds: many small files take their time, and the peak is there long before the end

# Budget, hours, partitions, schemas, 20:1, lanes: one thing at a time, then the worst together.
FEW = [
    (128, 1, 12, 1, False, 1),
    (128, 200, 12, 1, False, 1),
    (128, 10_000, 12, 1, False, 1),
    (128, 200, 1_000, 1, False, 1),
    (128, 200, 12, 50, False, 1),
    (128, 200, 12, 1, True, 1),
    (128, 200, 12, 1, False, 16),
    (512, 200, 12, 1, False, 1),
    (128, 10_000, 1_000, 50, True, 16),
]


def cells(options):
    if options["quick"]:
        return FEW
    # What shares a topic stands together, so that a topic is there only while it is needed.
    topics = itertools.product(REPETITIVE, PARTITIONS, SCHEMAS, HOURS)
    every = [
        (budget, hours, partitions, schemas, repetitive, lanes)
        for repetitive, partitions, schemas, hours in topics
        for budget, lanes in itertools.product(BUDGETS, LANES)
    ]
    return in_pairs(every) if options["pairs"] else every


def in_pairs(every):
    """Few of the cells, in which each two values that can stand beside each other do; with the worst first."""
    chosen, left = [], set().union(*map(pairs, every))
    best = FEW[-1]
    while left:
        chosen.append(best)
        left -= pairs(best)
        best = max(every, key=lambda cell: len(pairs(cell) & left))
    return sorted(chosen, key=every.index)


def pairs(cell):
    return set(itertools.combinations(enumerate(cell), 2))


def kind_of(bench, hours, partitions, schemas, repetitive):
    # Enough for several times the largest budget, in small batches too.
    records = bench.records(3_000_000)
    compression = "zstd" if repetitive else "none"
    return Kind(records, partitions, "in-order" if hours == 1 else "shuffled", hours, schemas, compression, repetitive)


def matrix(bench):
    rounds = bench.options["repeat"] or 1
    last = None
    for budget, hours, partitions, schemas, repetitive, lanes in cells(bench.options):
        kind = kind_of(bench, hours, partitions, schemas, repetitive)
        compressed = "20:1 zstd" if repetitive else "uncompressed"
        title = f"{budget} MiB; {hours} h; partitions {partitions}; schemas {schemas}; {compressed}; lanes {lanes}"
        if bench.options["only"] not in title:
            continue
        if last not in (None, kind) and not bench.options["quick"]:
            bench.topics.drop(last)
        last = kind
        row = bench.table.add(Row(title, [Goal("peak_mib", budget + BESIDE, at_least=False, worst=True)]))
        for _ in range(rounds):
            measure(bench, row, kind, budget, lanes)


def measure(bench, row, kind, budget, lanes):
    # Files are as many as they are: whether there are few is another question (shuffled, late).
    settings = {"MEMORY__BUDGET": f"{budget}MiB", "LANES": lanes, "BATCH__MAX_FILES": 100_000}
    figures = run_valve(kind, bench.topics, limit=LIMIT, keep=bench.options["keep"], **settings)
    # A peak is one whether or not all was stored in time; that isn't what is asked here, but it is told.
    if "committed after" in figures.get("wrong", ""):
        row.title += f" ({figures.pop('wrong')})"
    row.runs.append(figures)
    print(f"{row.title}: {figures['peak_mib']:.0f} MiB, {figures['files']} files, {figures['wall_s']:.1f} s", flush=True)
