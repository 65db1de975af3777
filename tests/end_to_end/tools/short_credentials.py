"""short_credentials.py ACCESS_KEY COUNTER: AWS credentials that last for 15 seconds, as a `credential_process` prints them.

Each call adds a byte to the file COUNTER. With a file COUNTER.refuse it fails.
"""

import datetime
import json
import os
import sys

access_key, counter = sys.argv[1:]
with open(counter, "ab") as file:
    file.write(b".")
if os.path.exists(counter + ".refuse"):
    sys.exit("no credentials today")
expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=15)
print(json.dumps({
    "Version": 1,
    "AccessKeyId": access_key,
    "SecretAccessKey": "planted-secret-key",
    "SessionToken": "planted/session+token",
    "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
}))
