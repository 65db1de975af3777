"""The Versity S3 gateway over a directory: a real S3 API with conditional writes and multipart uploads."""

ACCESS_KEY = "valve-tests"
SECRET_KEY = "valve-tests-secret"
BUCKET = "valve-tests"

CREATE_BUCKET = """
import boto3, os
boto3.client(
    "s3", endpoint_url=os.environ["VALVE_TEST_S3_ENDPOINT"], region_name="us-east-1",
    aws_access_key_id=os.environ["VALVE_TEST_S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["VALVE_TEST_S3_SECRET_KEY"],
).create_bucket(Bucket=os.environ["VALVE_TEST_S3_BUCKET"])
"""


def provision(target, stack):
    stack.call(["go", "install", "-trimpath", "tool"], cwd=stack.folder, environ={"GOBIN": str(target)})


def launch(installed, work, stack):
    port = stack.free_port()
    endpoint = f"http://127.0.0.1:{port}"
    objects, attributes = work / "objects", work / "attributes"
    objects.mkdir()
    attributes.mkdir()
    return stack.process(
        command=[
            str(installed / "versitygw"), "--port", f"127.0.0.1:{port}",
            "--keep-alive", "posix", "--sidecar", str(attributes), str(objects),
        ],
        environ={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
        ready=lambda: stack.answers(endpoint),
        exports={
            "VALVE_TEST_S3_ENDPOINT": endpoint,
            "VALVE_TEST_S3_ACCESS_KEY": ACCESS_KEY,
            "VALVE_TEST_S3_SECRET_KEY": SECRET_KEY,
            "VALVE_TEST_S3_BUCKET": BUCKET,
        },
    )


def prepare(exports, stack):
    stack.call([exports["VALVE_TEST_PYTHON"], "-c", CREATE_BUCKET], environ=exports)
