"""Apache Kafka: one broker in KRaft mode, configured so that tests don't wait for it."""

import uuid

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
log.dirs={logs}
# A topic that nobody created is an error, as on the clusters that valve runs on.
auto.create.topics.enable=false
# One broker, so nothing can be replicated; and few partitions, so that it starts at once.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A member that was killed is gone after seconds, and a group forms without a pause for more members.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
"""


def provision(target, stack):
    stack.maven(target / "jars", "-DincludeScope=runtime")


def launch(installed, work, stack):
    broker, controller = stack.free_port(), stack.free_port()
    properties = work / "server.properties"
    properties.write_text(PROPERTIES.format(broker=broker, controller=controller, logs=work / "log"))
    java = [
        "java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4",
        f"-Dlog4j2.configurationFile={stack.folder / 'log4j2.properties'}",
        "-cp", f"{installed / 'jars'}/*",
    ]
    cluster = uuid.uuid4().hex[:22]
    stack.call([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)])
    address = f"127.0.0.1:{broker}"
    return stack.process(
        command=[*java, "kafka.Kafka", str(properties)],
        ready=lambda: "Kafka Server started" in stack.log(),
        exports={"VALVE_TEST_KAFKA": address},
    )
