"""delete_object.py BUCKET KEY: what somebody does who thinks that nobody needs it."""

import os
import sys

import boto3

boto3.client(
    "s3",
    endpoint_url=os.environ["VALVE_TEST_S3_ENDPOINT"],
    region_name="us-east-1",
    aws_access_key_id=os.environ["VALVE_TEST_S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["VALVE_TEST_S3_SECRET_KEY"],
).delete_object(Bucket=sys.argv[1], Key=sys.argv[2])
