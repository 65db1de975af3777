"""scram_user.py NAME PASSWORD: makes a user of the broker's SCRAM-SHA-512 listener, or gives it another password."""

import os
import sys

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
change = UserScramCredentialUpsertion(sys.argv[1], how, sys.argv[2].encode())
admin = AdminClient({"bootstrap.servers": os.environ["VALVE_TEST_KAFKA"]})
for done in admin.alter_user_scram_credentials([change]).values():
    done.result(30)
