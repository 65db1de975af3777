"""Valves that are killed while they work, and the proof that nothing was lost or doubled.

Produces events and lets several valves store them. Meanwhile it kills some with SIGKILL, has others abort at a fault
point (between promise, files and commit), stops others past their session's timeout and lets them go on (zombies), adds
and removes members, and restarts the broker. Production ends after the last of that. Then all must be committed, every
process must end well, and fastavro must find each record once. Needs the services' addresses (tests/stack/) in its
environment; tests/kill starts them and says more.
"""

import argparse
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from confluent_kafka import KafkaException

import judge
import services
import traffic
import valves

LONGEST = 20  # times what all that happens should take: production at most, which ends when it is told to
SESSION = 6  # seconds until the group gives up a member
STOP_WITHIN = 120  # seconds, after SIGTERM
RECOVERED_AFTER = 20  # seconds after an outage of store or broker
READY_WITHIN = 120  # seconds, once everything is committed
STALLED = 120  # seconds without any commit that count as hung
ARMED = 0.6  # of the replacements have a fault point
# The errors that are meant to be said. (Whether leaving work to others was right is judged by when it happened.)
EXPECTED = re.compile("fault point reached|.* not all that was read could be stored in time")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valve", required=True, help="the binary")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--records", type=int, default=2_000_000, help="in the time that all should take; more until it has")
    parser.add_argument("--valves", type=int, default=4)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--protocol", choices=["classic", "eager", "consumer"], default="classic")
    parser.add_argument("--pause", type=float, default=5, help="seconds between events, on average")
    parser.add_argument("--broker-restarts", type=int, default=0, help="asked of the parent process, tests/kill")
    parser.add_argument("--outages", type=int, default=0, help="of store and broker, likewise")
    parser.add_argument("--logs", type=Path, help="keep what the valves say there")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    return parser.parse_args()


class Run:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.begun = time.monotonic()
        self.name = f"kill-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.name}.orders"
        self.traffic = traffic.Traffic(options.records * LONGEST, options.partitions)
        self.logs = options.logs or Path(tempfile.mkdtemp(prefix="valve-kill-"))
        self.logs.mkdir(parents=True, exist_ok=True)
        self.broker = services.Broker(self.name, self.topic, options.partitions)
        self.environ = valves.settings(self.name, self.topic, options.protocol)
        self.all, self.living = [], []
        self.calmed = False
        self.store_frozen_until = None
        self.outage_until = 0  # some time after the store or the broker was back
        self.counts = collections.Counter()
        self.failures = []

    def say(self, text):
        print(f"[{time.monotonic() - self.begun:6.1f}] {text}", flush=True)

    def fail(self, text):
        self.failures.append(text)
        self.say(f"FAILURE: {text}")

    # Valves that come and go.

    def start(self, may_be_armed=False):
        fault, hold = None, False
        if may_be_armed and not self.calmed and self.random.random() < ARMED:
            fault = self.random.choice(valves.POINTS)
            hold = self.random.random() < 0.3
            times = 30 if fault in ("stored", "filling") else 8
            fault += f":{self.random.randint(1, times)}"
        # Whoever takes over has to go by the intent, not by settings of its own.
        environ = self.environ | {
            "VALVE_CODEC": self.random.choice(["snappy", "zstd", "deflate-6", "null"]),
            "VALVE_BATCH__MAX_RECORDS": str(self.random.choice([500, 2_000, 5_000])),
            "VALVE_LANES": str(self.random.choice([1, 2])),
        }
        valve = valves.Valve(len(self.all), self.options.valve, environ, self.logs, fault, hold)
        self.all.append(valve)
        self.living.append(valve)
        self.say(f"started {valve}")

    def bury(self):
        """Takes note of who has died at a fault point, and replaces them."""
        for valve in [valve for valve in self.living if valve.ended() is not None]:
            self.living.remove(valve)
            if valve.died_at_its_fault_point():
                self.counts["kills at fault points"] += 1
                self.say(f"{valve} died")
            else:
                self.fail(f"{valve} ended by itself with {valve.ended()}: {valve.log_path}")
            self.start(may_be_armed=True)

    def thaw_due(self, now=None):
        now = now or time.monotonic()
        if self.store_frozen_until and self.store_frozen_until <= now:
            self.thaw_store()
        for valve in self.living:
            if valve.frozen_until and valve.frozen_until <= now:
                valve.thaw()
                self.say(f"{valve} goes on")

    def awake(self):
        return [valve for valve in self.living if not valve.frozen_until]

    def stop(self, valve):
        self.living.remove(valve)
        valve.go_on()
        valve.terminate()
        give_up = time.monotonic() + STOP_WITHIN
        while valve.ended() is None and time.monotonic() < give_up:
            self.thaw_due()
            time.sleep(0.1)
        if valve.ended() is None:
            self.fail(f"{valve} didn't stop within {STOP_WITHIN} s: {valve.log_path}")
            valve.kill()
        elif valve.ended() == 1 and time.monotonic() < self.outage_until:
            self.counts["left work to others"] += 1  # which it may when it couldn't store in time
        elif valve.ended() != 0 and not valve.died_at_its_fault_point():
            self.fail(f"{valve} stopped with {valve.ended()}: {valve.log_path}")

    # What happens to them.

    def kill(self):
        # Those with a fault point are left to reach it, as long as there are others.
        valve = self.random.choice([valve for valve in self.living if not valve.fault] or self.living)
        self.living.remove(valve)
        valve.kill()
        self.counts["kills at random times"] += 1
        self.say(f"killed {valve}")
        self.start(may_be_armed=True)

    def zombie(self):
        """Stops one past its session's timeout: best one that stands just between two steps."""
        awake = self.awake()
        valve = self.random.choice([valve for valve in awake if valve.stands_still()] or awake)
        valve.freeze(time.monotonic() + SESSION + self.random.uniform(2, 6))
        self.counts["zombies"] += 1
        self.say(f"stopped {valve} as if it slept{', between two steps' if valve.stands_still() else ''}")

    def scale(self):
        self.counts["scaled out and in"] += 1
        if len(self.living) > self.options.valves:
            return self.scale_in()
        self.say("scaling out")
        self.start()

    def scale_in(self):
        valve = self.random.choice(self.awake())
        self.stop(valve)
        self.say(f"scaled in: {valve} has left")

    def roll(self):
        """One is stopped and started, as a deployment does."""
        valve = self.random.choice(self.awake())
        self.counts["stopped and started"] += 1
        self.stop(valve)
        self.say(f"{valve} has stopped")
        self.start()

    def restart_broker(self):
        """In turn one that is killed and one that is stopped."""
        killed = self.counts["broker restarts"] % 2 == 0
        self.counts["broker restarts"] += 1
        self.say(f"the broker is {'killed' if killed else 'stopped'} and started again")
        services.ask(services.KILL_BROKER if killed else services.STOP_BROKER)
        time.sleep(1)
        self.broker.wait_until_back()
        self.outage_until = time.monotonic() + RECOVERED_AFTER
        self.say("the broker is back")

    def freeze_broker(self):
        self.counts["frozen brokers"] += 1
        self.say("the broker stands still")
        services.ask(services.FREEZE_BROKER)
        time.sleep(self.random.uniform(2, 12))
        services.ask(services.THAW_BROKER)
        self.broker.wait_until_back()
        self.outage_until = time.monotonic() + RECOVERED_AFTER
        self.say("the broker goes on")

    def freeze_store(self):
        """What was sent to it by a process that dies meanwhile may arrive after the takeover."""
        self.counts["frozen stores"] += 1
        self.say("the store stands still")
        services.ask(services.FREEZE_STORE)
        self.store_frozen_until = time.monotonic() + self.random.uniform(2, 15)
        self.outage_until = self.store_frozen_until + RECOVERED_AFTER

    def thaw_store(self):
        self.store_frozen_until = None
        services.ask(services.THAW_STORE)
        self.say("the store goes on")

    def deck(self):
        """All that is to happen, shuffled; a valve that dies at a fault point takes a kill out of it."""
        kills = self.options.kills
        deck = [self.zombie] * max(2, kills // 5) + [self.scale] * max(2, kills // 10)
        deck += [self.roll] * max(1, kills // 20)
        outages = self.options.outages
        deck += [self.freeze_broker] * (outages // 2) + [self.freeze_store] * (outages - outages // 2)
        deck += [self.restart_broker] * self.options.broker_restarts + [self.kill] * kills
        self.random.shuffle(deck)
        return deck

    def kills(self):
        return self.counts["kills at fault points"] + self.counts["kills at random times"]

    def disturb(self, produce):
        deck = self.deck()
        while deck:
            pause = self.random.uniform(0.2, 1.8) * self.options.pause
            until = time.monotonic() + pause
            while time.monotonic() < until:
                self.thaw_due()
                self.bury()
                time.sleep(0.1)
            if produce.poll():
                sys.exit("the producer failed")
            happening = deck.pop()
            if happening == self.kill and self.kills() >= self.options.kills:
                continue
            if happening in (self.zombie, self.scale, self.roll) and len(self.awake()) < 2:
                deck.insert(0, happening)
                continue
            happening()

    # How it ends.

    def end_production(self, produce):
        """Records are consecutive, so their number says which there are."""
        if produce.poll() is not None:
            self.fail("production ended too early: what was done last met no traffic")
        produce.terminate()
        if produce.wait(400):
            sys.exit("the producer failed")
        self.traffic.records = sum(self.broker.wait_until_back())
        self.say(f"{self.traffic.records} records were produced")

    def calm(self):
        """Whoever sleeps wakes up, whoever stands still goes on, and there are as many as there should be."""
        self.say("calm from here on")
        self.calmed = True
        self.thaw_due(float("inf"))
        for valve in self.living:
            valve.go_on()
        while len(self.living) < self.options.valves:
            self.start()

    def drain(self):
        """Waits until the group has committed all of it; fails when that doesn't go on."""
        last, since = None, time.monotonic()
        while True:
            self.bury()
            try:
                committed = self.broker.committed()
                if committed == self.broker.ends():
                    return self.say(f"all {sum(committed)} records are committed")
            except KafkaException as error:
                committed = None
                self.say(f"the broker says {error}")
            if committed != last:
                last, since = committed, time.monotonic()
                self.say(f"committed {sum(committed or [])}")
            if time.monotonic() - since > STALLED:
                return self.explain_stall()
            time.sleep(1)

    def wait_until_ready(self):
        """Nobody complains of anything once all is well again."""
        give_up = time.monotonic() + READY_WITHIN
        while time.monotonic() < give_up:
            self.bury()
            if not any(valve.unready_because() for valve in self.living):
                return
            time.sleep(0.5)
        for valve in self.living:
            if valve.unready_because():
                self.fail(f"{valve}, {valve.log_path}, isn't ready: {valve.unready_because()}")

    def explain_stall(self):
        self.fail(f"nothing was committed for {STALLED} s: {self.broker.committed()} of {self.broker.ends()}")
        for line in self.broker.outstanding():
            self.say(line)
        for valve in self.living:
            self.say(f"{valve}, {valve.log_path}: {valve.unready_because()}")

    def read_logs(self):
        """What the valves said: counted; errors that nobody caused are failures."""
        said = [event for valve in self.all for event in valve.events()]
        texts = collections.Counter(event.get("message") for event in said)
        self.counts["takeovers"] = texts["making a batch again that was promised before"]
        self.counts["rebalances (assigned)"] = texts["assigned"]
        self.counts["expelled"] = texts["lost: the group expelled this member, or their topics are gone"]
        self.counts["joined anew"] = texts["leaving the group to join it anew"]
        self.counts["batches committed"] = texts["batch committed"]
        self.counts["batches abandoned"] = texts["batch abandoned"]
        errors = collections.Counter(
            " ".join(str(event[part]) for part in ("message", "partition", "reason") if event.get(part))
            for event in said
            if event["level"] == "ERROR" and event.get("target", "valve").startswith("valve")  # not a library's
        )
        unexpected = {text: times for text, times in errors.items() if not EXPECTED.match(text)}
        self.counts["held partitions"] = sum(text.startswith("held ") for text in unexpected)
        for text, times in unexpected.items():
            self.fail(f"said {times} times: {text}")

    def audit(self):
        """What `valve audit --deep --dense` says of it all."""
        begun = time.monotonic()
        path = self.logs / "audit.txt"
        with path.open("wb") as output:
            code = subprocess.run(
                [self.options.valve, "audit", "--deep", "--dense"], env=self.environ, stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, check=False,
            ).returncode
        if code != 0:
            self.fail(f"`valve audit --deep --dense` exits with {code}: {path}")
        return f"exit code {code}, after {time.monotonic() - begun:.0f} s"

    def check(self):
        self.read_logs()
        verdict = self.audit()
        schema_ids = traffic.register(self.topic)
        found = judge.judge(judge.Bucket(f"{self.name}/"), f"_dead_letter_queue_{self.name}", self.traffic, schema_ids)
        (self.logs / "wrong.txt").write_text("\n".join(found.wrong))
        for line in found.wrong[:10]:
            self.fail(line)
        return {
            "records produced": self.traffic.records,
            "of them good, bad, empty": ", ".join(str(self.traffic.count(kind)) for kind in ("good", "bad", "empty")),
            "files": found.files,
            "rows by fastavro": found.rows,
            "distinct ids": found.distinct,
            "doubled": found.doubled,
            "missing": found.missing,
            "otherwise wrong": len(found.wrong) - found.missing,
            "dead letters": found.dead_letters,
            "of them produced again": found.repeated_letters,
            **self.counts,
            "audit --deep": verdict,
            "group protocol": self.options.protocol,
            "seed": self.options.seed,
            "duration": f"{time.monotonic() - self.begun:.0f} s",
        }

    def run(self):
        options = self.options
        events = len(self.deck())
        rate = options.records / (options.pause * events)
        self.say(f"{rate:.0f} records a second; seed {options.seed}; logs in {self.logs}")
        words = [self.topic, str(self.traffic.records), str(options.partitions), str(rate)]
        produce = subprocess.Popen([sys.executable, traffic.__file__, *words], preexec_fn=valves.die_with_parent)
        for _ in range(options.valves):
            self.start()
        self.disturb(produce)
        self.end_production(produce)
        self.calm()
        self.drain()
        self.wait_until_ready()
        for valve in list(self.living):
            self.stop(valve)
        table = self.check()
        width = max(map(len, table))
        for name, value in table.items():
            print(f"{name:{width}}  {value}")
        if self.failures:
            print(f"\nFAILED; the logs are in {self.logs}\n" + "\n".join(self.failures))
            return 1
        if not options.logs:
            shutil.rmtree(self.logs)
        print("\nNothing was lost, nothing was doubled.")
        return 0


if __name__ == "__main__":
    sys.exit(Run(arguments()).run())
