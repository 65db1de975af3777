"""Produces as Confluent's Python users do: their client, their serializer, their registry client.

Reads one instruction per line (JSON) and answers each with one line, all of them when the instruction is "flush":

    {"op": "register", "subject", "schema", "references"?}                  -> {"id", "version"}
    {"op": "serialize", "topic", "schema", "references"?, "branch"?, "value"}   -> {"bytes": base64}
    {"op": "produce", <as serialize>, "partition", "key"?, "headers"?, "timestamp"?}
                                                        -> {"partition", "offset", "id", "bytes": base64}
    {"op": "raw", "topic", "partition", "bytes": base64 or null, ...}       -> {"partition", "offset"}
    {"op": "begin"} {"op": "commit"} {"op": "abort"}    a transaction       -> {}
    {"op": "schema", "id"}                              -> {"text"}, as the registry has it, to the byte
"""

import base64
import json
import os
import sys

import requests
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

REGISTRY_URL = os.environ["VALVE_TEST_REGISTRY"]
registry = SchemaRegistryClient({"url": REGISTRY_URL})
# What a message may have is the topic's business.
settings = {"bootstrap.servers": os.environ["VALVE_TEST_KAFKA"], "linger.ms": 5, "message.max.bytes": 20_000_000}
if len(sys.argv) > 1:
    settings["transactional.id"] = sys.argv[1]
producer = Producer(settings)
if len(sys.argv) > 1:
    producer.init_transactions(60)
serializers = {}


def schema_of(instruction):
    references = [SchemaReference(**reference) for reference in instruction.get("references", [])]
    return Schema(instruction["schema"], "AVRO", references)


def serialize(instruction):
    topic, text = instruction["topic"], instruction["schema"]
    if (topic, text) not in serializers:
        serializers[topic, text] = AvroSerializer(registry, schema_of(instruction))
    context = SerializationContext(topic, MessageField.VALUE)
    value, branch = instruction["value"], instruction.get("branch")
    return serializers[topic, text](value if branch is None else (branch, value), context)


def produce(instruction, value, answer):
    def delivered(error, message):
        if error is not None:
            answer["error"] = str(error)
        else:
            answer["partition"], answer["offset"] = message.partition(), message.offset()

    key = instruction.get("key")
    optional = {"timestamp": instruction["timestamp"]} if "timestamp" in instruction else {}
    while True:
        try:
            producer.produce(
                instruction["topic"],
                value,
                key if key is None else key.encode(),
                instruction["partition"],
                on_delivery=delivered,
                headers=[(name, text.encode()) for name, text in instruction.get("headers", [])],
                **optional,
            )
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)


def obey(instruction, answer):
    match instruction["op"]:
        case "register":
            answer["id"] = registry.register_schema(instruction["subject"], schema_of(instruction))
            registered = registry.lookup_schema(instruction["subject"], schema_of(instruction))
            answer["version"] = registered.version
        case "serialize":
            answer["bytes"] = base64.b64encode(serialize(instruction)).decode()
        case "produce":
            value = serialize(instruction)
            answer["id"] = int.from_bytes(value[1:5], "big")
            answer["bytes"] = base64.b64encode(value).decode()
            produce(instruction, value, answer)
        case "raw":
            value = instruction["bytes"]
            produce(instruction, value if value is None else base64.b64decode(value), answer)
        case "begin":
            producer.begin_transaction()
        case "commit":
            producer.commit_transaction(60)
        case "abort":
            producer.flush(60)  # so that the aborted records really are in the log
            producer.abort_transaction(60)
        case "schema":
            answer["text"] = requests.get(f"{REGISTRY_URL}/schemas/ids/{instruction['id']}", timeout=30).json()["schema"]


answers = []
for line in sys.stdin:
    instruction = json.loads(line)
    if instruction["op"] == "flush":
        producer.flush(60)
        for answer in answers:
            print(json.dumps(answer))
        print(json.dumps({}), flush=True)
        answers = []
    else:
        answers.append({})
        try:
            obey(instruction, answers[-1])
        except Exception as error:  # the test that asked has to know
            answers[-1]["error"] = f"{type(error).__name__}: {error}"
