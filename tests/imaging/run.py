"""Valve's image at work on real services: one container under its limits, then a rolling deploy from one version to the next.

    run.py --run ID --a IMAGE --b IMAGE [--short]

Records are produced all the while. In the end everything must be committed, fastavro must find each record once, the bad ones
as dead letters, and `valve audit` must say PROVEN. Needs the services' addresses (tests/stack/) in its environment; tests/image
starts it.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "killing"))

import container
import judge
import services
import traffic
import valves
from confluent_kafka import KafkaException
from engine import Engine, Failure

PARTITIONS = 6
RATE = 1_000  # records a second in the deploy, and where it shall be short
FULL_RATE = 4_000  # about what this producer can do beside the rest
LONGEST = 1_200  # seconds of production, which ends when it is told to
DRAIN_WITHIN = 120  # seconds after the last record was produced
SETTLE = 3  # seconds between one replacement and the next
LONGEST_PAUSE = 30  # seconds without any commit; a batch is open for three at most


def patiently(ask):
    """An answer of the broker; one whose coordinator has only just begun says so, and is asked again."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.25)


class Progress(threading.Thread):
    """Looks four times a second whether more is committed, and keeps the longest time that nothing was."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.ended = broker, threading.Event()
        self.longest, self.last, self.since = 0.0, None, time.monotonic()

    def run(self):
        while not self.ended.wait(0.25):
            try:
                committed = sum(self.broker.committed())
            except KafkaException:
                continue  # the coordinator is busy with the group
            now = time.monotonic()
            self.longest = max(self.longest, now - self.since)
            if committed != self.last:
                self.last, self.since = committed, now

    def end(self):
        self.ended.set()
        self.join()
        return self.longest


class Deployment:
    """A topic, a producer, and the containers that store what it produces."""

    def __init__(self, engine, rate=RATE):
        self.engine, self.rate = engine, rate
        self.name = f"image-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.name}.orders"
        self.traffic = traffic.Traffic(rate * LONGEST, PARTITIONS)
        self.broker = services.Broker(self.name, self.topic, PARTITIONS)
        self.environ = valves.settings(self.name, self.topic, "classic")
        del self.environ["VALVE_MEMORY__BUDGET"]  # 40 % of the container's limit
        self.all, self.living = [], []

    def produce(self):
        words = [self.topic, str(self.traffic.records), str(PARTITIONS), str(self.rate)]
        python = [sys.executable, "-B", "-W", "ignore", traffic.__file__]
        self.producer = subprocess.Popen([*python, *words], preexec_fn=valves.die_with_parent)

    def end_production(self):
        """Records are consecutive, so their number says which there are."""
        if self.producer.poll() is not None:
            raise Failure("production ended too early: nothing came at the end of what was to be seen")
        self.producer.terminate()
        if self.producer.wait(120):
            raise Failure("the producer failed")
        self.traffic.records = sum(patiently(self.broker.ends))

    def start(self, image, **settings):
        """Starts a container and waits until it is healthy."""
        started = container.Container(self.engine, image, self.environ | settings)
        self.all.append(started)
        self.living.append(started)
        say(f"{started} was healthy after {started.wait_until_healthy():.1f} s")
        return started

    def stop(self, which):
        self.living.remove(which)
        resident, group = which.peaks()
        peak = f"{mebibytes(resident)} resident at most, {mebibytes(group)} charged to its group"
        say(f"{which} stopped by SIGTERM in {which.stop():.1f} s; {peak}, of {mebibytes(container.LIMIT)}")

    def wait(self, what, seconds, condition):
        give_up = time.monotonic() + seconds
        while not patiently(condition):
            if time.monotonic() > give_up:
                reasons = {str(one): one.unready_because() for one in self.living}
                raise Failure(f"{what} isn't so after {seconds} s: {reasons}")
            time.sleep(0.25)

    def committed(self):
        return sum(patiently(self.broker.committed))

    def drain(self):
        self.wait("all committed", DRAIN_WITHIN, lambda: self.broker.committed() == self.broker.ends())

    def audit(self, image):
        """`valve audit` in a container of its own."""
        variables = [word for name, value in self.environ.items() for word in ("--env", f"{name}={value}")]
        words = ["run", "--rm", "--network", "host", *self.engine.label(), *container.LIMITS, *variables, image, "audit"]
        done = self.engine.done(*words)
        if done.returncode != 0 or "PROVEN" not in done.stdout:
            raise Failure(f"`valve audit` exits with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip().splitlines()[-1]

    def check(self, image):
        """Each record once, the bad ones as dead letters, nothing said that is an error, and the audit."""
        found = judge.judge(
            judge.Bucket(f"{self.name}/"), f"_dead_letter_queue_{self.name}", self.traffic, traffic.register(self.topic),
        )
        wrong = found.wrong + [line for one in self.all for line in one.errors()]
        if found.rows != self.traffic.count("good"):
            wrong.append(f"{found.rows} rows of {self.traffic.count('good')} good records")
        if wrong:
            raise Failure("\n".join([f"{len(wrong)} things are wrong:", *wrong[:10]]))
        say(
            f"{self.traffic.records} records: {found.rows} rows in {found.files} files, {found.dead_letters} dead letters, "
            f"none missing, none doubled; {self.audit(image)}"
        )


BEGUN = time.monotonic()


def say(text):
    print(f"         [{time.monotonic() - BEGUN:6.1f}] {text}", flush=True)


def mebibytes(size):
    return "unknown" if size is None else f"{size >> 20} MiB"


def under_limits(engine, image, rate, seconds):
    """One container, stopped in the middle of its work; another goes on with what is left."""
    run = Deployment(engine, rate)
    run.produce()
    first = run.start(image)
    if first.memory_limit() != container.LIMIT:
        raise Failure(f"valve takes {first.memory_limit()} bytes for its limit, not {container.LIMIT}")
    run.wait("so much committed", 120 + 3 * seconds, lambda: run.committed() >= rate * seconds)
    run.stop(first)
    left = run.committed()
    if left >= sum(run.broker.ends()) or run.broker.members() != 0:
        raise Failure(f"stopped with {left} committed of {run.broker.ends()}, and {run.broker.members()} members left")
    say(f"after the stop, amid production, {left} records are committed; {run.audit(image)}")
    second = run.start(image)
    run.end_production()
    run.drain()
    run.stop(second)
    run.check(image)


def rolling_deploy(engine, old, new, size):
    """As ECS replaces tasks: start a new one, see it healthy, stop an old one, and so on."""
    run = Deployment(engine)
    run.produce()
    leaving = [run.start(old) for _ in range(size)]
    run.wait("something committed", 60, lambda: run.committed() > 0)
    progress, before, begun = Progress(run.broker), run.committed(), time.monotonic()
    progress.start()
    for which in leaving:
        run.start(new, VALVE_CODEC="zstd", VALVE_BATCH__MAX_RECORDS="2000")
        run.stop(which)
        time.sleep(SETTLE)
    took, stored = time.monotonic() - begun, run.committed() - before
    run.wait("each of the new ones has stored files", 60, lambda: all(one.files() > 0 for one in run.living))
    run.end_production()
    pause = progress.end()
    say(f"{size} containers replaced in {took:.0f} s; {stored} records committed meanwhile, longest pause {pause:.1f} s")
    if pause > LONGEST_PAUSE:
        raise Failure(f"nothing was committed for {pause:.1f} s")
    run.drain()
    for which in list(run.living):
        run.stop(which)
    run.check(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="what the containers are labelled with")
    parser.add_argument("--a", required=True, help="the image of the old version")
    parser.add_argument("--b", required=True, help="and of the new one")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if "VALVE_TEST_KAFKA" not in os.environ:
        sys.exit("VALVE_TEST_KAFKA isn't set: tests/image starts the services")
    engine = Engine(run=options.run)
    try:
        under_limits(engine, options.a, *((RATE, 10) if options.short else (FULL_RATE, 60)))
        rolling_deploy(engine, options.a, options.b, 2 if options.short else 3)
    finally:
        engine.remove_containers()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"tests/image: {failure}")
