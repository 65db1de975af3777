"""topic_rights.py TOPIC describe|all: who signs in may only describe the topic, or everything again."""

import os
import sys

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

topic, rights = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": os.environ["VALVE_TEST_KAFKA"]})
where = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL)
if rights == "describe":
    describe = AclBinding(*where, "User:*", "*", AclOperation.DESCRIBE, AclPermissionType.ALLOW)
    changes = admin.create_acls([describe])
else:
    changes = admin.delete_acls([AclBindingFilter(*where, None, None, AclOperation.ANY, AclPermissionType.ANY)])
for done in changes.values():
    done.result(30)
