"""What is produced, as a function of its id: so that the judge knows what to expect without being told.

Ids are consecutive. Within each partition three versions of a schema take turns record by record, four hours of event
time every three records; about 1 in 1,000 is bad (a datum with a byte too many) and 1 in 5,000 has no value at all.

    traffic.py TOPIC RECORDS PARTITIONS RATE    produces records 0 to RECORDS, so many a second (0: at full speed);
                                                fewer when it is told by SIGTERM that it is enough
"""

import io
import json
import os
import signal
import sys
import time
from datetime import datetime, timezone

import fastavro

SEVEN = 1_710_054_000_000  # 2024-03-10T07:00:00Z, in milliseconds
HOUR = 3_600_000
HOURS = 4


def version(*further):
    fields = [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "customer", "type": "string"},
        *further,
    ]
    return {"type": "record", "name": "Order", "namespace": "shop", "fields": fields}


NOTE = {"name": "note", "type": ["null", "string"], "default": None}
LABELS = {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}}
VERSIONS = [version(), version(NOTE), version(NOTE, LABELS)]
PARSED = [fastavro.parse_schema(schema, expand=True) for schema in VERSIONS]


class Traffic:
    """Records 0 to `records`, spread over `partitions`."""

    def __init__(self, records, partitions):
        self.records, self.partitions = records, partitions

    def turn(self, number):
        return number // self.partitions

    def kind(self, number):
        """"good", "bad" or "empty"."""
        turn = self.turn(number)
        return "bad" if turn % 1_000 == 999 else "empty" if turn % 5_000 == 2_500 else "good"

    def version(self, number):
        return self.turn(number) % len(VERSIONS)

    def record(self, number):
        turn, which = self.turn(number), self.version(number)
        hour = turn // len(VERSIONS) % HOURS
        value = {"id": number, "at": SEVEN + hour * HOUR + turn * 37 % 3_600 * 1_000, "customer": f"customer {number % 17}"}
        if which >= 1:
            value["note"] = None if number % 2 else "bitte klingeln ✓"
        if which >= 2:
            value["labels"] = {"campaign": "spring", "tier": str(number % 5)}
        return value

    def belongs(self, record, hour):
        """Whether the record may be stored under that hour, as it stands in a key."""
        return hour_of(record["at"]) == hour

    def value(self, number, schema_ids):
        kind = self.kind(number)
        if kind == "empty":
            return None
        buffer = io.BytesIO()
        which = self.version(number)
        buffer.write(b"\0" + schema_ids[which].to_bytes(4, "big"))
        fastavro.schemaless_writer(buffer, PARSED[which], self.record(number))
        if kind == "bad":
            buffer.write(b"!")
        return buffer.getvalue()

    def count(self, kind):
        return sum(self.kind(number) == kind for number in range(self.records))


def hour_of(at):
    return datetime.fromtimestamp(at / 1_000, timezone.utc).strftime("year=%Y/month=%m/day=%d/hour=%H")


def register(topic):
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

    registry = SchemaRegistryClient({"url": os.environ["VALVE_TEST_REGISTRY"]})
    return [registry.register_schema(f"{topic}-value", Schema(json.dumps(schema), "AVRO")) for schema in VERSIONS]


def produce(topic, traffic, rate):
    from confluent_kafka import Producer

    # Idempotent: a broker that is restarted must not make the producer store a record twice.
    producer = Producer({
        "bootstrap.servers": os.environ["VALVE_TEST_KAFKA"],
        "enable.idempotence": True,
        "linger.ms": 20,
        "queue.buffering.max.messages": 1_000_000,
        "log_level": 2,
    })
    failed = []

    def delivered(error, _message):
        if error is not None:
            failed.append(error)

    schema_ids = register(topic)
    enough = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: enough.append(True))
    begun = time.monotonic()
    for number in range(traffic.records):
        if enough:
            break
        if rate and number % 100 == 0:
            time.sleep(max(0, begun + number / rate - time.monotonic()))
        value, partition = traffic.value(number, schema_ids), number % traffic.partitions
        while True:
            try:
                producer.produce(topic, value, partition=partition, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(300) or failed:
        sys.exit(f"not everything could be produced: {failed[:3]}")


if __name__ == "__main__":
    topic, records, partitions, rate = sys.argv[1:]
    produce(topic, Traffic(int(records), int(partitions)), float(rate))
