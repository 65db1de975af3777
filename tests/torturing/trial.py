"""One fault, injected for a while into a valve that stores events as they are produced, and what came of it.

    trial.py NUMBER SECONDS VALVE LOGS    prints the outcome as one line of JSON; the number is the case's (cases.py)

Needs the services' addresses (tests/stack/) in its environment; run.py starts it.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "killing"))

import services
import traffic
import valves
from cases import every_case
from cluster import BROKERS, Cluster
from confluent_kafka import KafkaException
from places import Place

PARTITIONS = 4
RATE = 400  # records a second, from before the fault until all is well again
LONGEST = 300  # seconds: of traffic at most
WARM_UP = 60  # seconds at most until the first commit
SHOWN_WITHIN = 60  # seconds after the fault was injected, until its reason is shown
REJOIN_WITHIN = 10  # seconds after the fault was lifted, until the group has a member again
RECOVER_WITHIN = 30  # seconds after the fault was lifted, until all that was there by then is committed
READY_WITHIN = 45  # seconds after the fault was lifted, until nobody complains (a client's complaint stands for 30)
DRAIN_WITHIN = 60  # seconds from then until everything is committed
STOP_WITHIN = 30  # seconds after SIGTERM
BUDGET, BESIDE = 256 << 20, 64 << 20  # bytes: of memory, and what may be resident beyond them


@dataclass
class Outcome:
    """A row of the table."""

    target: str
    injected: str
    lasted: float = 0  # seconds
    shown: str = ""  # the first line of /readyz that gave the reason
    committed_meanwhile: int = 0
    away: float = 0  # seconds without a member in the group
    recovered: float | None = None  # seconds until all that was there when the fault ended was committed
    ready: float | None = None  # seconds after the fault until /readyz was well
    peak: int = 0  # bytes
    rows: int = 0
    doubled: int = 0
    missing: int = 0
    failures: list = field(default_factory=list)


class Membership(threading.Thread):
    """Looks each half second whether the group has a member; begins to count once it has had one."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.away, self.ended = broker, 0.0, threading.Event()

    def run(self):
        joined, last = False, time.monotonic()
        while not self.ended.wait(0.5):
            try:
                members, now = self.broker.members(), time.monotonic()
            except (KafkaException, concurrent.futures.TimeoutError):
                continue  # the coordinator moves
            joined = joined or members > 0
            if joined and not members:
                self.away += now - last
            last = now

    def end(self):
        self.ended.set()
        self.join()
        return self.away


def patiently(ask):
    """An answer of the broker; one whose coordinator or leaders have just moved says so, and is asked again."""
    give_up = time.monotonic() + WARM_UP
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.25)


class Trial:
    def __init__(self, case, lasting, binary, folder):
        self.case, self.binary, self.folder = case, binary, folder
        self.lasting = max(lasting, case.at_least)
        self.name = f"torture-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.name}.orders"
        self.traffic = traffic.Traffic(RATE * LONGEST, PARTITIONS)
        self.brokers = self.own_brokers()
        self.broker = services.Broker(self.name, self.topic, PARTITIONS, replication=BROKERS if self.brokers else 1)
        self.environ = valves.settings(self.name, self.topic, "classic") | {"VALVE_LANES": "2"}
        self.outcome = Outcome(case.target, case.injected)

    def own_brokers(self):
        """What is done to a whole cluster is done to one of its own, not to the stack's broker."""
        if self.case.target != "cluster":
            return None
        brokers = Cluster(self.folder)
        os.environ["VALVE_TEST_KAFKA"] = brokers.servers
        return brokers

    def fail(self, text):
        self.outcome.failures.append(text)

    def get(self, path):
        """Status and text; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.valve.address()}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, ValueError) as error:
            return 0, str(error)

    def committed(self):
        """How many records are."""
        return sum(patiently(self.broker.committed))

    def wait(self, seconds, condition):
        """Seconds until the condition held; none if it didn't in time or valve has ended."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and self.valve.ended() is None:
            with contextlib.suppress(KafkaException):
                if condition():
                    return time.monotonic() - begun
            time.sleep(0.25)
        return None

    def watch(self):
        """What can be seen while the fault lasts."""
        begun, before, dead = time.monotonic(), self.committed(), 0
        while self.lasts(time.monotonic() - begun):
            if self.valve.address():
                dead += not self.alive()
                self.look_at_readyz()
            time.sleep(0.5)
        self.outcome.committed_meanwhile = self.committed() - before
        if dead:
            self.fail(f"/livez wasn't well {dead} times")
        if self.case.shows and not self.outcome.shown:
            self.fail(f"/readyz never began with {self.case.shows}")
        if not self.case.shows and not self.outcome.committed_meanwhile:
            self.fail("nothing was committed meanwhile")

    def lasts(self, seconds):
        """A fault lasts until its reason is shown: on a busy machine valve may meet it late."""
        unseen = self.case.shows and not self.outcome.shown
        return seconds < self.lasting or (unseen and seconds < SHOWN_WITHIN)

    def alive(self):
        """What /livez says in one of three tries. Between waiting for Consul and working, valve listens nowhere for a moment."""
        for _ in range(3):
            if self.get("/livez")[0] == 200:
                return True
            time.sleep(1)
        return False

    def look_at_readyz(self):
        status, text = self.get("/readyz")
        lines = [line for line in text.splitlines() if line.startswith(f"{self.case.shows}:")]
        if status == 503 and lines and not self.outcome.shown:
            self.outcome.shown = lines[0]

    def recover(self):
        """From when the fault is lifted until what was there by then is committed, and until nobody complains."""
        ends = patiently(self.broker.ends)

        def all_committed():
            return all(committed >= end for committed, end in zip(self.broker.committed(), ends))

        begun = time.monotonic()
        self.outcome.recovered = self.wait(RECOVER_WITHIN, all_committed)
        if self.outcome.recovered is None:
            self.fail(f"not committed {RECOVER_WITHIN} s after the fault: {self.valve.unready_because()}")
        still = READY_WITHIN - (time.monotonic() - begun)
        if self.wait(still, lambda: not self.valve.unready_because()) is None:
            return self.fail(f"not ready {READY_WITHIN} s after the fault: {self.valve.unready_because()}")
        self.outcome.ready = time.monotonic() - begun

    def end_production(self, produce):
        """Records are consecutive, so their number says which there are."""
        if produce.poll() is not None:
            self.fail("production ended too early: a fault without traffic tells nothing")
        produce.terminate()
        if produce.wait(310):
            self.fail("the producer failed")
        self.traffic.records = sum(patiently(self.broker.ends))

    def drain(self):
        if self.wait(DRAIN_WITHIN, lambda: self.broker.committed() == self.broker.ends()) is None:
            self.fail(f"not all was committed {DRAIN_WITHIN} s later: {self.valve.unready_because()}")

    def leave(self):
        self.outcome.peak = self.valve.peak_of_its_own() if self.valve.ended() is None else 0
        if self.outcome.peak > BUDGET + BESIDE:
            self.fail(f"{self.outcome.peak >> 20} MiB were resident")
        if self.valve.ended() is not None:
            return self.fail(f"ended by itself with {self.valve.ended()}")
        self.valve.terminate()
        try:
            code = self.valve.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.valve.kill()
            code = f"a kill after {STOP_WITHIN} s"
        if code != 0:
            self.fail(f"SIGTERM ended with {code}")

    def check(self):
        """Every record once by fastavro, only the bad ones dead letters, the audit, nothing said that is an error."""
        schema_ids = traffic.register(self.topic)
        found = self.place.judge(f"_dead_letter_queue_{self.name}", self.traffic, schema_ids)
        self.outcome.rows, self.outcome.doubled, self.outcome.missing = found.rows, found.doubled, found.missing
        self.outcome.failures += found.wrong[:5]
        audit = subprocess.run(
            [self.binary, "audit"], env=self.environ, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            check=False,
        )
        (self.folder / "audit.txt").write_text(audit.stdout + audit.stderr)
        if audit.returncode != 0 or "PROVEN" not in audit.stdout:
            self.fail(f"`valve audit` exits with {audit.returncode}")
        for event in self.valve.events():
            if event["level"] == "ERROR" and event.get("target", "valve").startswith("valve"):
                self.fail(f"said {event.get('message')} {event.get('reason', '')}")

    def produce(self):
        """The producer, once there is something of it."""
        words = [self.topic, str(self.traffic.records), str(PARTITIONS), str(RATE)]
        produce = subprocess.Popen([sys.executable, "-B", traffic.__file__, *words], preexec_fn=valves.die_with_parent)
        give_up = time.monotonic() + WARM_UP
        while not sum(patiently(self.broker.ends)) and time.monotonic() < give_up:
            time.sleep(0.25)
        return produce

    def run(self):
        self.place = Place(self.case, self.name, self.environ, self.folder, self.brokers)
        fault = self.case.fault(self.place.at)
        produce = self.produce()
        if self.case.from_the_start:
            self.inject(fault)
        self.valve = valves.Valve(0, self.binary, self.environ, self.folder)
        membership = Membership(self.broker)
        membership.start()
        if not self.case.from_the_start:
            if self.wait(WARM_UP, lambda: self.committed() and not self.valve.unready_because()) is None:
                self.fail("nothing was committed before the fault")
            self.inject(fault)
        self.watch()
        fault.lift()
        self.outcome.lasted = time.monotonic() - self.injected
        self.recover()
        self.end_production(produce)
        self.drain()
        self.judge_membership(membership.end())
        self.leave()
        self.check()
        self.place.remove()
        return self.outcome

    def inject(self, fault):
        self.injected = time.monotonic()
        fault.inject()

    def judge_membership(self, away):
        """Only a broker that can't be reached may cost the membership, until it can and valve has joined again."""
        self.outcome.away = away
        allowed = self.outcome.lasted + REJOIN_WITHIN if self.case.target in ("kafka", "cluster") else 0
        if away > allowed:
            self.fail(f"no member of the group for {away:.1f} s")


def main(number, lasting, binary, folder):
    trial = Trial(every_case()[int(number)], float(lasting), binary, Path(folder))
    try:
        outcome = trial.run()
    except (AssertionError, KafkaException, OSError, ValueError) as error:
        trial.fail(f"{type(error).__name__}: {error}")
        outcome = trial.outcome
    if trial.brokers:
        trial.brokers.stop()
    outcome.failures = [readable(text, folder) for text in outcome.failures]
    outcome.shown = readable(outcome.shown, folder)
    text = json.dumps(dataclasses.asdict(outcome))
    (trial.folder / "outcome.json").write_text(text)
    print(text, flush=True)
    # Not by way of the clients' ends: they may wait for brokers that are gone.
    os._exit(0)


def readable(text, folder):
    """Without what differs from run to run."""
    text = re.sub(r"\S+\.avro", "….avro", text.replace(folder, "…"))
    return re.sub(r"torture-[0-9a-f]{8}", "…", re.sub(r":\d{4,5}\b", ":…", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
