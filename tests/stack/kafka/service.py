"""Apache Kafka: one broker in KRaft mode, configured so that tests don't wait for it.

Besides a plain listener it has one for each way to sign in, with certificates that are made at the start:

    PLAINTEXT   for the tests that are about something else; who comes this way may do everything
    SASL        TLS, with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    TLS         TLS, and the client must have a certificate, too
    OAUTH       TLS, with OAUTHBEARER and tokens that nobody signed
    MSK         TLS, with OAUTHBEARER and tokens as Amazon MSK takes them (java/MskTokens.java), none older than 20 seconds

and PROXIED, a plain one that tells clients to come through another address, where nobody is until a test puts a proxy there.

Where a topic or a group has ACLs they hold for all but the plain listener; where it has none, everybody may do everything.
"""

import uuid

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map=\
  PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL,OAUTH:SASL_SSL,MSK:SASL_SSL,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
# Who may do what.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
# Who is who.
ssl.keystore.type=PEM
ssl.keystore.location={certificates}/server-chain.pem
ssl.truststore.type=PEM
ssl.truststore.location={certificates}/ca.pem
listener.name.tls.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.connections.max.reauth.ms=60000
listener.name.oauth.oauthbearer.sasl.jaas.config=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
  unsecuredLoginStringClaim_sub="broker";
listener.name.msk.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.msk.oauthbearer.sasl.server.callback.handler.class=MskTokens
listener.name.msk.oauthbearer.connections.max.reauth.ms=60000
listener.name.msk.oauthbearer.sasl.jaas.config=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
  unsecuredLoginStringClaim_sub="broker" accessKey="{access_key}" lifetimeSeconds="20";
# A topic that nobody created is an error, as on the clusters that valve runs on.
auto.create.topics.enable=false
# One broker, so nothing can be replicated; and few partitions, so that it starts at once.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A member that was killed is gone after seconds, and a group forms without a pause for more members.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
"""


USER, PASSWORD = "valve", "valve-tests-kafka-password"
ACCESS_KEY = "VALVETESTSACCESSKEY"


def provision(target, stack):
    stack.maven(target / "jars", "-DincludeScope=runtime")
    sources = [str(source) for source in (stack.folder / "java").glob("*.java")]
    stack.call(["javac", "-d", str(target / "classes"), "-cp", f"{target / 'jars'}/*", *sources])


def listeners(addresses):
    return ",".join(f"{name}://{address}" for name, address in addresses.items())


def launch(installed, work, stack):
    names = ["PLAINTEXT", "SASL", "TLS", "OAUTH", "MSK", "PROXIED"]
    addresses = {name: f"127.0.0.1:{stack.free_port()}" for name in names}
    advertised = {**addresses, "PROXIED": f"127.0.0.1:{stack.free_port()}"}
    certificates, properties = work / "certificates", work / "server.properties"
    certificates.mkdir()
    python = stack.other("python") / "bin" / "python"
    stack.call([str(python), "-B", str(stack.folder / "certificates.py"), str(certificates)])
    properties.write_text(PROPERTIES.format(
        listeners=listeners(addresses), advertised=listeners(advertised),
        controller=stack.free_port(), logs=work / "log", certificates=certificates,
        user=USER, password=PASSWORD, access_key=ACCESS_KEY,
    ))
    java = [
        "java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4",
        f"-Dlog4j2.configurationFile={stack.folder / 'log4j2.properties'}",
        "-cp", f"{installed / 'jars'}/*:{installed / 'classes'}",
    ]
    users = [f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    added = [word for user in users for word in ("--add-scram", user)]
    cluster = uuid.uuid4().hex[:22]
    stack.call([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *added])
    return stack.process(
        command=[*java, "kafka.Kafka", str(properties)],
        ready=lambda: "Kafka Server started" in stack.log(),
        exports={
            "VALVE_TEST_KAFKA": addresses["PLAINTEXT"],
            **{f"VALVE_TEST_KAFKA_{name}": addresses[name] for name in names[1:]},
            "VALVE_TEST_KAFKA_PROXY": advertised["PROXIED"],
            "VALVE_TEST_KAFKA_CP": f"{installed / 'jars'}/*",
            "VALVE_TEST_KAFKA_USER": USER,
            "VALVE_TEST_KAFKA_PASSWORD": PASSWORD,
            "VALVE_TEST_KAFKA_ACCESS_KEY": ACCESS_KEY,
            "VALVE_TEST_CERTIFICATES": str(certificates),
        },
    )
