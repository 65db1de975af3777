# Stands in for apache/kafka: the broker of the tests, started as that image starts it.
FROM valve-test/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl \
    && rm -rf /var/lib/apt/lists/*
COPY jars /opt/kafka/libs
COPY files /opt/kafka/bin
ENTRYPOINT ["/opt/kafka/bin/start.sh"]
