"""What a valve costs that has nothing to do, and how soon one begins."""

import time

from runs import Failure, Group, Valve
from table import Goal, Row
from topics import Kind


def idle(bench):
    seconds = 10 if bench.options["quick"] else 60
    goals = [Goal("cpu_percent", 1, at_least=False), Goal("resident_mib", 64, at_least=False)]
    for title, records in [("that never had a record", 0), ("after 10 records each", 10_000)]:
        kind = Kind(records, partitions=1_000, hours=1)
        bench.row(Row(f"1,000 partitions {title}, {seconds} s", goals), lambda kind=kind: run_idle(bench, kind, seconds))
    bench.run(1 if bench.options["quick"] else None)


def run_idle(bench, kind, seconds):
    """CPU and memory when all was committed and a while has gone by; the peak is of the busy time before."""
    topic = bench.topics.load(kind)
    valve = Valve(topic, "s3", bench.options["keep"])
    group = Group(valve.name, topic, kind)
    try:
        everything = lambda: valve.process.log().count('"message":"consuming"') >= kind.partitions  # noqa: E731
        if not valve.wait("all partitions were consumed", everything, 300, 0.5):
            raise Failure("not all partitions were consumed")
        if not valve.wait("all was committed", lambda: group.committed() >= group.end, 300, 0.5):
            raise Failure("not all was committed")
        time.sleep(5)
        before, begun = valve.process.cpu(), time.monotonic()
        time.sleep(seconds)
        cpu, took = valve.process.cpu() - before, time.monotonic() - begun
        return {"cpu_percent": 100 * cpu / took, "peak_mib": valve.process.memory("VmHWM"),
                "resident_mib": valve.process.memory("VmRSS")}
    finally:
        valve.clear()
        group.close()


def start(bench):
    kind = Kind(4, partitions=4)
    row = Row("from the first assignment to the first committed record, S3, one record a batch",
              [Goal("seconds", 1, at_least=False)])
    bench.row(row, lambda: run_start(bench, kind))
    bench.run()


def run_start(bench, kind):
    """Committed is later than consumed: the schema was looked up, a file stored, and two commits were answered."""
    topic = bench.topics.load(kind)
    begun = time.time()
    valve = Valve(topic, "s3", bench.options["keep"], BATCH__MAX_RECORDS=1)
    group = Group(valve.name, topic, kind)
    try:
        if not valve.wait("a record was committed", lambda: group.committed() > 0, 120, 0.01):
            raise Failure("nothing was committed")
        ended, assigned = time.time(), valve.first("assigned")
        if assigned is None:
            raise Failure("valve's log doesn't say when it was given partitions")
        return {"seconds": ended - assigned, "joined_s": assigned - begun}
    finally:
        valve.clear()
        group.close()
