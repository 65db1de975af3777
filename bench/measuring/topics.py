"""Topics full of events: each kind is loaded once and shared by all that measure with it."""

import json
import os
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

EVENT = Path(__file__).resolve().parents[1] / "event.avsc"


@dataclass(frozen=True)
class Kind:
    """What is in a topic."""

    records: int
    partitions: int = 4
    order: str = "in-order"
    hours: int = 24
    schemas: int = 1
    compression: str = "none"
    repetitive: bool = False

    def topic(self):
        repetitive = "-repetitive" if self.repetitive else ""
        return (f"bench-{self.records}-{self.order}-{self.hours}h-{self.partitions}p-{self.schemas}s-"
                f"{self.compression}{repetitive}")


class Topics:
    """What was loaded so far."""

    def __init__(self):
        self.servers = os.environ["VALVE_TEST_KAFKA"]
        self.admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        self.loaded = {}
        self.schemas = []

    def load(self, kind):
        """The topic of this kind, loaded if it isn't there yet."""
        if kind not in self.loaded:
            self.create(kind.topic(), kind.partitions)
            self.loaded[kind] = self.fill(kind) if kind.records else {"records": 0, "bytes": 0}
        return kind.topic()

    def create(self, topic, partitions):
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            future.result(120)
        while not self.has_leaders(topic):
            time.sleep(0.2)

    def has_leaders(self, topic):
        partitions = self.admin.list_topics(topic, timeout=30).topics[topic].partitions.values()
        return all(partition.leader >= 0 and partition.error is None for partition in partitions)

    def drop(self, kind):
        """Deletes the topic: its log would take the room of the others."""
        if self.loaded.pop(kind, None):
            for future in self.admin.delete_topics([kind.topic()]).values():
                future.result(120)

    def fill(self, kind):
        command = [
            os.path.join(os.environ["BENCH_BUILT"], "load"),
            "--brokers", self.servers, "--topic", kind.topic(), "--partitions", str(kind.partitions),
            "--records", str(kind.records), "--order", kind.order, "--hours", str(kind.hours),
            "--schemas", ",".join(map(str, self.schema_ids(kind.schemas))), "--compression", kind.compression,
            *(["--repetitive"] if kind.repetitive else []),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        loaded = json.loads(done.stdout)
        loaded["ratio"] = loaded["bytes"] / max(1, self.log_bytes(kind.topic()))
        print(f"loaded {kind.topic()}: {loaded['bytes'] / kind.records:.0f} bytes an event, "
              f"{loaded['ratio']:.1f}:1 in the log, {loaded['seconds']:.1f} s", flush=True)
        return loaded

    def log_bytes(self, topic):
        folders = (Path(os.environ["BENCH_WORK"]) / "kafka" / "log").glob(f"{topic}-*")
        return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))

    def schema_ids(self, count):
        """The ids of so many schemas that differ in their names."""
        schema = json.loads(EVENT.read_text())
        while len(self.schemas) < count:
            name = f"Event{len(self.schemas)}"
            self.schemas.append(register(name, {**schema, "name": name}))
        return self.schemas[:count]


def register(subject, schema):
    request = urllib.request.Request(
        f"{os.environ['VALVE_TEST_REGISTRY']}/subjects/bench-{subject}/versions",
        data=json.dumps({"schema": json.dumps(schema)}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["id"]
