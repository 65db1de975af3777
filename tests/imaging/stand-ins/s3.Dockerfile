# Stands in for versity/versitygw: the S3 gateway of the tests, with the wget that its health check needs.
FROM valve-test/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*
COPY programs /usr/local/bin
ENTRYPOINT ["versitygw"]
