"""Valves at a steady rate for an hour, with random faults all the while: nothing may be lost, doubled, or leak.

    soak.py --valve BINARY [--minutes 60] [--rate 2000] [--seed N] [--page FILE.md] [--logs FOLDER]

One valve lives from beginning to end, and what it holds must stay the same; of two others some are killed, put to sleep
or replaced meanwhile. One fault after the other stands before Kafka, the store or the registry. Exits with 0 only if
fastavro finds each record once, the audit agrees, and memory, file handles and threads are as they were. Needs the
services' addresses (tests/stack/) in its environment; tests/soak starts them.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "killing"))

import judge
import services
import traffic
import valves
from cases import every_case
from confluent_kafka import KafkaException
from faults import Connections, HttpProxy
from soaked import write_page
from steady import Watch

PARTITIONS = 6
OTHERS = 2  # valves beside the one that lives throughout
PAUSE = (10, 40)  # seconds between one fault's end and the next
LASTS = (5, 30)  # seconds
SLEEPS = 12  # seconds, twice the session's timeout
CAUGHT_UP_WITHIN = 90  # seconds after a fault, until all that was there by then is committed
STOP_WITHIN = 60  # seconds after SIGTERM
BUDGET, BESIDE = 256, 64  # MiB: of memory, and what may be resident beyond them
# The errors that are meant to be said by one that was put to sleep or lost its work.
EXPECTED = re.compile(".* not all that was read could be stored in time")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valve", required=True, help="the binary")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=2_000, help="records a second")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--page", type=Path, help="write the page there, and its graph beside it")
    parser.add_argument("--logs", type=Path, help="keep what the valves say there")
    return parser.parse_args()


class Places:
    """A proxy for connections before each service, and one for answers before those that speak HTTP."""

    def __init__(self, name, environ):
        kafka = os.environ["VALVE_TEST_KAFKA_PROXY"]
        self.connections = {"kafka": Connections(f"{name}-kafka", os.environ["VALVE_TEST_KAFKA_PROXIED"], kafka)}
        self.answers = {}
        environ["VALVE_KAFKA__BOOTSTRAP_SERVERS"] = kafka
        for target, setting, url in [
            ("s3", "VALVE_SINK__ENDPOINT", os.environ["VALVE_TEST_S3_ENDPOINT"]),
            ("registry", "VALVE_REGISTRY__URL", os.environ["VALVE_TEST_REGISTRY"]),
        ]:
            real = urlsplit(url)
            self.answers[target] = HttpProxy(real.netloc)
            self.connections[target] = Connections(f"{name}-{target}", self.answers[target].address)
            environ[setting] = real._replace(netloc=self.connections[target].address).geturl()

    def of(self, case):
        return (self.answers if case.over_http else self.connections)[case.target]

    def remove(self):
        for connections in self.connections.values():
            connections.remove()


class Soak:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.lasting = options.minutes * 60
        self.logs = options.logs or Path(tempfile.mkdtemp(prefix="valve-soak-"))
        self.logs.mkdir(parents=True, exist_ok=True)
        self.name = f"soak-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.name}.orders"
        self.traffic = traffic.Traffic(int(options.rate * self.lasting), PARTITIONS)
        self.broker = services.Broker(self.name, self.topic, PARTITIONS)
        self.environ = valves.settings(self.name, self.topic, "classic") | {
            "VALVE_LANES": "2", "VALVE_BATCH__MAX_AGE": "10s", "VALVE_BATCH__MAX_IDLE": "5s",
        }
        self.places = Places(self.name, self.environ)
        self.started, self.living = 0, []
        self.faults = []  # what, from, to, seconds until caught up
        self.failures = []
        self.all = []

    def say(self, text):
        print(f"[{self.watch.now():6.0f}] {text}", flush=True)

    def fail(self, text):
        self.failures.append(text)
        self.say(f"FAILURE: {text}")

    def start(self):
        valve = valves.Valve(self.started, self.options.valve, self.environ, self.logs)
        self.started += 1
        self.all.append(valve)
        self.living.append(valve)

    # What happens to the others.

    def kill(self):
        valve = self.other()
        self.living.remove(valve)
        valve.kill()
        self.start()
        return f"{valve} killed and replaced"

    def sleep(self):
        valve = self.other()
        valve.freeze(None)
        threading.Timer(SLEEPS, valve.thaw).start()
        return f"{valve} stopped for {SLEEPS} s, past its session"

    def replace(self):
        valve = self.other()
        self.living.remove(valve)
        self.stop(valve)
        self.start()
        return f"{valve} stopped and replaced"

    def other(self):
        return self.random.choice(self.living[1:])

    def stop(self, valve):
        valve.terminate()
        try:
            code = valve.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            valve.kill()
            code = f"a kill after {STOP_WITHIN} s"
        if code != 0:
            self.fail(f"{valve}: SIGTERM ended with {code}: {valve.log_path}")

    # Faults.

    def trouble(self, cases):
        """One fault, what happens to a valve meanwhile, and until everyone has caught up."""
        case = self.random.choice(cases)
        begun, lasting = self.watch.now(), max(self.random.uniform(*LASTS), case.at_least)
        fault, what = case.fault(self.places.of(case)), [str(case)]
        fault.inject()
        if case.target == "registry":
            what.append(self.replace())  # whoever begins asks the registry
        elif self.random.random() < 0.4:
            what.append(self.random.choice([self.kill, self.sleep])())
        self.say(", ".join(what))
        time.sleep(max(0, begun + lasting - self.watch.now()))
        fault.lift()
        lifted = self.watch.now()
        caught_up = self.catch_up()
        self.faults.append((", ".join(what), begun, lifted, caught_up))
        if caught_up is None:
            self.fail(f"not all committed {CAUGHT_UP_WITHIN} s after {what[0]}")
        for valve in [valve for valve in self.living if valve.ended() is not None]:
            self.living.remove(valve)
            self.fail(f"{valve} ended by itself with {valve.ended()}: {valve.log_path}")
            self.start()

    def catch_up(self):
        """Seconds until all that is there now is committed; none if that takes too long."""
        begun, ends = time.monotonic(), self.broker.ends()
        while time.monotonic() - begun < CAUGHT_UP_WITHIN:
            if all(committed >= end for committed, end in zip(self.broker.committed(), ends)):
                return time.monotonic() - begun
            time.sleep(0.25)
        return None

    def run(self):
        for _ in range(1 + OTHERS):
            self.start()
        self.watch = Watch(self.living, self.broker)
        self.watch.start()
        self.say(f"seed {self.options.seed}, {self.traffic.records} records; the logs are in {self.logs}")
        words = [self.topic, str(self.traffic.records), str(PARTITIONS), str(self.options.rate)]
        produce = subprocess.Popen(
            [sys.executable, "-B", traffic.__file__, *words], preexec_fn=valves.die_with_parent
        )
        cases = [case for case in every_case() if case.target in ("kafka", "s3", "registry")]
        while produce.poll() is None:
            time.sleep(self.random.uniform(*PAUSE))
            if self.watch.now() + LASTS[1] < self.lasting:
                self.trouble(cases)
        if produce.returncode:
            self.fail("the producer failed")
        self.end()
        return self.verdict()

    # The end.

    def end(self):
        if self.catch_up() is None:
            self.fail("not all was committed in the end")
        self.watch.end()
        steady = self.watch.held[0]
        for what, early, late, same in steady.compared(self.lasting):
            self.say(f"{what}: {early:.1f} early, {late:.1f} late")
            if not same:
                self.fail(f"{what} grew from {early:.1f} to {late:.1f}")
        peak = max(max(held.resident) for held in self.watch.held.values())
        if peak > BUDGET + BESIDE:
            self.fail(f"{peak:.0f} MiB were resident")
        for valve in self.living:
            self.stop(valve)

    def verdict(self):
        self.say("reading what is stored")
        files = judge.Bucket(f"{self.name}/")
        schema_ids = traffic.register(self.topic)
        found = judge.judge(files, f"_dead_letter_queue_{self.name}", self.traffic, schema_ids)
        for text in found.wrong[:5]:
            self.fail(text)
        audit = subprocess.run([self.options.valve, "audit", "--dense"], env=self.environ, capture_output=True, text=True, check=False)
        (self.logs / "audit.txt").write_text(audit.stdout + audit.stderr)
        if audit.returncode != 0 or "PROVEN" not in audit.stdout:
            self.fail(f"`valve audit` exits with {audit.returncode}")
        for valve in self.all:
            for event in valve.events():
                # What the Kafka client says of its connections is no failure of valve's.
                ours = event.get("target", "valve").startswith("valve")
                if ours and event["level"] == "ERROR" and not EXPECTED.match(event.get("message", "")):
                    self.fail(f"{valve} said {event.get('message')}: {valve.log_path}")
        self.places.remove()
        self.say(f"{found}; {len(self.failures)} failures")
        if self.options.page:
            write_page(self.options.page, self, found)
        if not self.failures and not self.options.logs:
            shutil.rmtree(self.logs)
        return 1 if self.failures else 0


def main():
    if "VALVE_TEST_TOXIPROXY" not in os.environ:
        sys.exit("VALVE_TEST_TOXIPROXY isn't set: tests/soak starts the services")
    try:
        return Soak(arguments()).run()
    except KafkaException as error:
        sys.exit(f"the broker, asked directly, failed: {error}")


if __name__ == "__main__":
    sys.exit(main())
