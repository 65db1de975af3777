"""list_keys.py BUCKET PREFIX: the keys below a prefix, one line (JSON) for each, whatever lies there."""

import json
import os
import sys

import boto3

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["VALVE_TEST_S3_ENDPOINT"],
    region_name="us-east-1",
    aws_access_key_id=os.environ["VALVE_TEST_S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["VALVE_TEST_S3_SECRET_KEY"],
)
bucket, prefix = sys.argv[1:]
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
    for entry in page.get("Contents", []):
        print(json.dumps(entry["Key"]))
