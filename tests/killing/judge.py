"""What is stored, read by fastavro, and what became a dead letter, compared with what was produced."""

import base64
import io
import json
import os
import re
import time
from array import array
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path

import boto3
import fastavro
import fastavro.read
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from traffic import PARSED, Traffic

KEY = re.compile(r"/(year=\d{4}/month=\d\d/day=\d\d/hour=\d\d)/[^/]+_(\d+)-messages_[0-9a-f-]{36}\.avro$")
PROCESSES = 2
fastavro.read.LOGICAL_READERS.clear()  # timestamps as the numbers that they are stored as


@dataclass
class Judgement:
    """Counts, and the first few of what is wrong."""

    files: int = 0
    rows: int = 0
    distinct: int = 0
    doubled: int = 0
    missing: int = 0
    dead_letters: int = 0
    repeated_letters: int = 0
    wrong: list = field(default_factory=list)


def store():
    return boto3.client(
        "s3",
        endpoint_url=os.environ["VALVE_TEST_S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=os.environ["VALVE_TEST_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["VALVE_TEST_S3_SECRET_KEY"],
    )


class Bucket:
    """What the stack's bucket has below a prefix."""

    def __init__(self, prefix):
        self.prefix = prefix

    def keys(self):
        listing = store().get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=os.environ["VALVE_TEST_S3_BUCKET"], Prefix=self.prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def open(self):
        self.client = store()

    def body(self, key):
        return self.client.get_object(Bucket=os.environ["VALVE_TEST_S3_BUCKET"], Key=key)["Body"].read()


class Folder:
    """What a local sink's directory has."""

    def __init__(self, path):
        self.path = path

    def keys(self):
        return [str(file) for file in self.path.rglob("*.avro")]

    def open(self):
        pass

    def body(self, key):
        return Path(key).read_bytes()


def begin_worker(files, traffic):
    global source, expected
    source, expected = files, traffic
    source.open()


def read(key):
    """The ids of a file's rows, and what is wrong with it."""
    place = KEY.search(key)
    if not place:
        return array("q"), [f"{key} isn't a key of the documented form"]
    ids, wrong = array("q"), []
    for record in fastavro.reader(io.BytesIO(source.body(key))):
        ids.append(record["id"])
        if record != expected.record(record["id"]) or not expected.belongs(record, place[1]):
            wrong.append(f"{key} holds {record}")
    if len(ids) != int(place[2]):
        wrong.append(f"{key} has {len(ids)} rows")
    return ids, wrong


def judge_files(files, traffic, judgement):
    """Counts how often each record is stored."""
    times, where = bytearray(traffic.records), {}
    keys = files.keys()
    judgement.files = len(keys)
    with Pool(PROCESSES, begin_worker, [files, traffic]) as pool:
        for key, (ids, wrong) in zip(keys, pool.imap(read, keys, chunksize=50)):
            judgement.wrong.extend(wrong)
            for number in ids:
                times[number] += 1
                if times[number] == 2:
                    where.setdefault(key, number)
    judgement.rows = sum(times)
    judgement.distinct = sum(count > 0 for count in times)
    judgement.doubled = judgement.rows - judgement.distinct
    judgement.wrong.extend(f"record {number} is stored again in {key}" for key, number in where.items())
    for number, count in enumerate(times):
        good = traffic.kind(number) == "good"
        if good and count == 0:
            judgement.missing += 1
            partition, offset = number % traffic.partitions, traffic.turn(number)
            judgement.wrong.append(f"record {number} (partition {partition}, offset {offset}) is missing")
        if not good and count:
            judgement.wrong.append(f"record {number} is stored, and is {traffic.kind(number)}")


def letters(topic):
    consumer = Consumer({
        "bootstrap.servers": os.environ["VALVE_TEST_KAFKA"], "group.id": "a-judge", "enable.auto.commit": False,
    })
    partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
    _, end = consumer.get_watermark_offsets(partition, timeout=30)
    consumer.assign([partition])
    give_up, following = time.monotonic() + 120, 0
    while following < end:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{topic} can't be read to its end")
        for message in consumer.consume(10_000, timeout=1):
            following = message.offset() + 1
            yield json.loads(message.value())
    consumer.close()


def judge_letters(topic, traffic, schema_ids, judgement):
    """Every bad record is a dead letter, at least once; nothing else is."""
    seen = bytearray(traffic.records)
    for letter in letters(topic):
        value = base64.b64decode(letter["message"])
        which = schema_ids.index(int.from_bytes(value[1:5], "big"))
        number = fastavro.schemaless_reader(io.BytesIO(value[5:]), PARSED[which])["id"]
        seen[number] = min(255, seen[number] + 1)
        judgement.dead_letters += 1
        if traffic.kind(number) != "bad":
            judgement.wrong.append(f"record {number} became a dead letter: {letter['exception']}")
    judgement.repeated_letters = judgement.dead_letters - sum(count > 0 for count in seen)
    for number in range(traffic.records):
        if traffic.kind(number) == "bad" and not seen[number]:
            judgement.missing += 1
            judgement.wrong.append(f"bad record {number} became no dead letter")


def judge(files, dead_letter_topic, traffic, schema_ids):
    judgement = Judgement()
    judge_files(files, traffic, judgement)
    judge_letters(dead_letter_topic, traffic, schema_ids, judgement)
    return judgement
