"""Three brokers with everything replicated three times, and what happens to them in the course of operations."""

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid

import valves
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from services import free_port

BROKERS = 3
READY_WITHIN = 120  # seconds
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address},CONTROLLER://{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


class Broker:
    """One of the three, as a process of its own."""

    def __init__(self, node, address, controller, voters, cluster, folder):
        self.folder, self.address, self.process = folder, address, None
        self.properties = folder / "server.properties"
        self.properties.write_text(PROPERTIES.format(
            node=node, address=address, controller=controller, voters=voters, folder=folder,
        ))
        self.java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", os.environ["VALVE_TEST_KAFKA_CP"]]
        tool = [*self.java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.properties)]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.java, "kafka.Kafka", str(self.properties)], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, preexec_fn=valves.die_with_parent,
            )

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait()


class Cluster:
    """Running until it is stopped."""

    def __init__(self, folder):
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(BROKERS)]
        controllers = [f"127.0.0.1:{free_port()}" for _ in range(BROKERS)]
        voters = ",".join(f"{node}@{controller}" for node, controller in enumerate(controllers, 1))
        cluster = uuid.uuid4().hex[:22]
        self.brokers = []
        for node, (address, controller) in enumerate(zip(addresses, controllers), 1):
            home = folder / f"broker-{node}"
            home.mkdir()
            self.brokers.append(Broker(node, address, controller, voters, cluster, home))
        for broker in self.brokers:
            broker.start()
        self.servers = ",".join(addresses)
        self.admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        self.wait_in_sync()

    def wait_in_sync(self):
        """Until all brokers are there and have all of every partition."""
        give_up = time.monotonic() + READY_WITHIN
        while not self.in_sync():
            if time.monotonic() > give_up:
                raise OSError(f"the brokers aren't in sync after {READY_WITHIN} s")
            time.sleep(0.5)

    def in_sync(self):
        with contextlib.suppress(KafkaException):
            found = self.admin.list_topics(timeout=10)
            partitions = [part for topic in found.topics.values() for part in topic.partitions.values()]
            return len(found.brokers) == BROKERS and all(len(part.isrs) == BROKERS for part in partitions)
        return False

    def coordinator_of(self, group):
        """The broker that keeps the group's offsets and knows its members."""
        found = self.admin.describe_consumer_groups([group])[group].result(30)
        return self.brokers[found.coordinator.id - 1]

    def stop(self):
        for broker in self.brokers:
            broker.end(signal.SIGKILL)


class RollingRestart:
    """One broker after the other ends well and comes back, as in an upgrade: each leader and the coordinator move."""

    def __init__(self, cluster):
        self.cluster, self.failure = cluster, None

    def inject(self):
        self.over = threading.Event()
        threading.Thread(target=self.roll, daemon=True).start()

    def roll(self):
        try:
            for broker in self.cluster.brokers:
                broker.end(signal.SIGTERM)
                broker.start()
                self.cluster.wait_in_sync()
        except OSError as failure:
            self.failure = failure
        self.over.set()
        # A process that is to die with its parent dies with the thread that started it.
        threading.Event().wait()

    def lift(self):
        self.over.wait()
        if self.failure:
            raise self.failure


class CoordinatorLost:
    """The group's coordinator is killed; other brokers take over what it led."""

    def __init__(self, cluster, group):
        self.cluster, self.group = cluster, group

    def inject(self):
        self.broker = self.cluster.coordinator_of(self.group)
        self.broker.end(signal.SIGKILL)

    def lift(self):
        self.broker.start()
        self.cluster.wait_in_sync()
