"""The neutral judge of valve's files: fastavro, on what a listing of the bucket (or a directory) shows.

    read_files.py s3 BUCKET PREFIX
    read_files.py local DIRECTORY

Prints one line (JSON) per file: its key, what its object's metadata says, its header's entries, and its records with
logical types as the numbers and strings that they are stored as.
"""

import base64
import io
import json
import os
import sys
from pathlib import Path

import fastavro
import fastavro.read

fastavro.read.LOGICAL_READERS.clear()


def objects_in_s3(bucket, prefix):
    import boto3

    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ["VALVE_TEST_S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=os.environ["VALVE_TEST_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["VALVE_TEST_S3_SECRET_KEY"],
    )
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            found = s3.get_object(Bucket=bucket, Key=entry["Key"])
            yield entry["Key"], found["Metadata"], found["Body"].read()


def files_in(directory):
    for path in sorted(path for path in Path(directory).rglob("*") if path.is_file()):
        yield str(path.relative_to(directory)), {}, path.read_bytes()


def printable(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"no JSON for {type(value)}")


match sys.argv[1:]:
    case ["s3", bucket, prefix]:
        found = objects_in_s3(bucket, prefix)
    case ["local", directory]:
        found = files_in(directory)
    case _:
        sys.exit(__doc__)

for key, metadata, content in found:
    reader = fastavro.reader(io.BytesIO(content))
    records = list(reader)
    header = {name: text if isinstance(text, str) else text.decode() for name, text in reader.metadata.items()}
    line = {"key": key, "metadata": metadata, "size": len(content), "header": header, "records": records}
    print(json.dumps(line, default=printable))
