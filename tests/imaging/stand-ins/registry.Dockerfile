# Stands in for apicurio/apicurio-registry-mem: the registry of the tests, with the curl that its health check needs.
FROM valve-test/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl \
    && rm -rf /var/lib/apt/lists/*
COPY registry /opt/registry
ENTRYPOINT ["sh", "-c", "exec java -Xmx384m -XX:+UseSerialGC -Dquarkus.http.host=0.0.0.0 -jar /opt/registry/*-runner.jar"]
