"""Sample events for docker-compose.yml: orders and page views, through Confluent's serializer, at a steady rate until stopped.

A few are late by some hours, and one in a thousand isn't Avro at all, so that there is something to see. From the environment:
KAFKA (brokers), REGISTRY (URL), RATE (events a second, default 200).
"""

import itertools
import json
import os
import random
import signal
import sys
import time
import uuid

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

CREATED_AT = {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
SCHEMAS = {
    "orders": {
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [
            {"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}},
            CREATED_AT,
            {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["PLACED", "PAID", "SHIPPED"]}},
            {"name": "cents", "type": "long"},
        ],
    },
    "page-views": {
        "type": "record",
        "name": "PageView",
        "namespace": "shop",
        "fields": [{"name": "url", "type": "string"}, CREATED_AT, {"name": "referrer", "type": ["null", "string"]}],
    },
}
HOUR_MS = 3_600_000


def event(topic, number):
    """One event of `topic`; one in fifty is one to six hours late."""
    late = random.randint(1, 6) * HOUR_MS if number % 50 == 0 else 0
    created_at = int(time.time() * 1000) - late
    if topic == "orders":
        status = random.choice(["PLACED", "PAID", "SHIPPED"])
        return {"order_id": str(uuid.uuid4()), "created_at": created_at, "status": status, "cents": random.randint(100, 99_999)}
    referrer = random.choice([None, "https://search.example/"])
    return {"url": f"https://shop.example/{random.randint(1, 500)}", "created_at": created_at, "referrer": referrer}


def main():
    """Produces until SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    registry = SchemaRegistryClient({"url": os.environ["REGISTRY"]})
    producer = Producer({"bootstrap.servers": os.environ["KAFKA"], "linger.ms": 50})
    rate = float(os.environ.get("RATE", "200"))
    serializers = {topic: AvroSerializer(registry, json.dumps(schema)) for topic, schema in SCHEMAS.items()}
    begun = time.monotonic()
    try:
        for number in itertools.count(1):
            topic = "orders" if number % 3 else "page-views"
            value = serializers[topic](event(topic, number), SerializationContext(topic, MessageField.VALUE))
            if number % 1000 == 0:
                value = b"not Avro"
            producer.produce(topic, value=value, key=str(number).encode())
            producer.poll(0)
            if number % 10_000 == 0:
                print(f"{number} events", flush=True)
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
    finally:
        producer.flush(10)


if __name__ == "__main__":
    main()
