"""The broker as any client sees it, and what may be done to the services."""

import contextlib
import os
import signal
import socket
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

# What tests/kill does to a service when asked by a real-time signal: the first, the second, and so on.
KILL_BROKER, STOP_BROKER, FREEZE_BROKER, THAW_BROKER, FREEZE_STORE, THAW_STORE = range(6)

# A client that hears of a topic while it is created, or of a leader that has gone, must not believe it for a quarter of an hour.
FRESH = {"topic.metadata.refresh.interval.ms": 1_000, "metadata.max.age.ms": 3_000}


def ask(what):
    os.kill(os.getppid(), signal.SIGRTMIN + what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """The topic, and how far the group has come."""

    def __init__(self, name, topic, partitions, replication=1):
        servers = {"bootstrap.servers": os.environ["VALVE_TEST_KAFKA"], "log_level": 2} | FRESH
        self.partitions = [TopicPartition(topic, partition) for partition in range(partitions)]
        self.admin = AdminClient(servers)
        letters = NewTopic(f"_dead_letter_queue_{name}", 1, replication)
        created = self.admin.create_topics([NewTopic(topic, partitions, replication), letters])
        for future in created.values():
            future.result(60)
        self.name = name
        self.client = Consumer({**servers, "group.id": name, "enable.auto.commit": False})

    def ends(self):
        return [self.client.get_watermark_offsets(partition, timeout=30)[1] for partition in self.partitions]

    def committed(self):
        found = self.client.committed(self.partitions, timeout=30)
        return [max(0, partition.offset) for partition in found]

    def members(self):
        """How many the group has; some may be joining."""
        return len(self.admin.describe_consumer_groups([self.name])[self.name].result(30).members)

    def outstanding(self):
        """The intents in the group's metadata, as text."""
        found = self.client.committed(self.partitions, timeout=30)
        return [f"{partition.partition}: {partition.offset} {partition.metadata}" for partition in found]

    def wait_until_back(self):
        while True:
            with contextlib.suppress(KafkaException):
                return self.ends()
            time.sleep(0.2)
