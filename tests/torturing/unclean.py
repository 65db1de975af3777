"""An unclean election: a leader that lacks what valve has read, and whose log has grown past that again before valve looks.

    unclean.py --valve BINARY [--logs FOLDER]

Three brokers of its own. What valve had read and not committed is gone; the records in its place must be stored, once each, and what is
gone must not. Exits with 0 only if fastavro and the audit say so. Needs the services' addresses (tests/stack/).
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "killing"))

import fastavro
import judge
import traffic
import valves
from cluster import Cluster
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

LEADER, FOLLOWER = 1, 2  # the brokers that have the topic
COMMITTED, GONE, INSTEAD = range(100), range(100, 150), range(1_000, 1_150)
PATIENCE = 120  # seconds for each step


class Trial:
    WANTED = [*COMMITTED, *INSTEAD]

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.name = f"unclean-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.name}.orders"
        self.partition = TopicPartition(self.topic, 0)
        self.traffic, self.schema_ids = traffic.Traffic(INSTEAD.stop, 1), traffic.register(self.topic)
        self.cluster = Cluster(folder)
        os.environ["VALVE_TEST_KAFKA"] = self.cluster.servers
        self.leader, self.follower = (self.cluster.brokers[node - 1] for node in (LEADER, FOLLOWER))
        careless = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}
        topics = [
            NewTopic(self.topic, 1, replica_assignment=[[LEADER, FOLLOWER]], config=careless),
            NewTopic(f"_dead_letter_queue_{self.name}", 1, 3),
        ]
        for created in self.cluster.admin.create_topics(topics).values():
            created.result(60)
        self.client = Consumer({"bootstrap.servers": self.cluster.servers, "group.id": self.name, "log_level": 2})
        # A batch has as many records as are to be committed; the next one stays open. The session outlasts valve's sleep.
        self.environ = valves.settings(self.name, self.topic, "classic") | {
            "VALVE_LANES": "1",
            "VALVE_BATCH__MAX_RECORDS": str(len(COMMITTED)),
            "VALVE_BATCH__MAX_AGE": "1h",
            "VALVE_BATCH__MAX_IDLE": "1h",
            "VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS": "300000",
        }
        self.valve = valves.Valve(0, options.valve, self.environ, folder)

    def run(self):
        self.produce(COMMITTED)
        self.wait("the first batch to be committed", lambda: self.committed() == len(COMMITTED))
        self.follower.end(9)
        self.wait("the leader to be alone", lambda: self.state() == (LEADER, [LEADER]))
        self.produce(GONE)
        self.wait("valve to read what will be gone", lambda: self.consumed() == GONE.stop)
        self.valve.freeze(None)
        self.leader.end(9)
        self.follower.start()
        self.wait("the follower to lead", lambda: self.state()[0] == FOLLOWER)
        self.produce(INSTEAD)
        self.valve.thaw()
        self.leader.start()
        end = len(COMMITTED) + len(INSTEAD)
        self.wait("the next batch to be committed", lambda: self.committed() > len(COMMITTED))
        self.valve.terminate()
        code = self.valve.process.wait(PATIENCE)
        self.wait("the rest to be committed", lambda: self.committed() == end)
        return [*self.stored(), *([f"SIGTERM ended with {code}"] if code else []), *self.audited()]

    def produce(self, numbers):
        # By the leader alone: acknowledged by all replicas, nothing would be lost.
        producer = Producer({"bootstrap.servers": self.cluster.servers, "acks": 1, "log_level": 2})
        failed = []
        for number in numbers:
            value = self.traffic.value(number, self.schema_ids)
            producer.produce(self.topic, value, partition=0, on_delivery=lambda error, _: error and failed.append(error))
        if producer.flush(PATIENCE) or failed:
            sys.exit(f"not everything could be produced: {failed[:3]}")

    def state(self):
        """The topic's leader and who is in sync with it."""
        found = self.cluster.admin.list_topics(self.topic, timeout=10).topics[self.topic].partitions[0]
        return found.leader, found.isrs

    def committed(self):
        return self.client.committed([self.partition], timeout=30)[0].offset

    def consumed(self):
        with urllib.request.urlopen(f"{self.valve.address()}/api/status", timeout=5) as answer:
            return json.load(answer)["totals"]["consumed"]

    def wait(self, what, condition):
        give_up, reason = time.monotonic() + PATIENCE, None
        while time.monotonic() < give_up:
            try:
                if condition():
                    return
            # A topic that was just created may be there without its partition.
            except (KafkaException, LookupError, OSError, ValueError) as error:
                reason = error
            time.sleep(0.2)
        sys.exit(f"waited {PATIENCE} s in vain for {what} ({reason}): {self.valve.log_path}\n{self.valve.log()[-5_000:]}")

    def stored(self):
        """What is wrong with the rows."""
        bucket = judge.Bucket(f"{self.name}/")
        bucket.open()
        files = (io.BytesIO(bucket.body(key)) for key in bucket.keys())
        rows = Counter(row["id"] for file in files for row in fastavro.reader(file))
        wanted = Counter(self.WANTED)
        if rows != wanted:
            yield f"missing: {sorted((wanted - rows).elements())[:5]} …, too many: {sorted((rows - wanted).elements())[:5]} …"

    def audited(self):
        audit = subprocess.run([self.options.valve, "audit"], env=self.environ, capture_output=True, text=True, check=False)
        if audit.returncode or "PROVEN" not in audit.stdout:
            yield f"`valve audit` exits with {audit.returncode}: {audit.stdout}{audit.stderr}"


def main(kind, described):
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valve", required=True, help="the binary")
    parser.add_argument("--logs", type=Path, help="keep what valve and the brokers say there")
    options = parser.parse_args()
    folder = options.logs or Path(tempfile.mkdtemp(prefix="valve-unclean-"))
    folder.mkdir(parents=True, exist_ok=True)
    trial = kind(options, folder)
    wrong = trial.run()
    trial.cluster.stop()
    if not options.logs:
        shutil.rmtree(folder)
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main(Trial, __doc__)
