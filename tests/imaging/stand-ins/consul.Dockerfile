# Stands in for hashicorp/consul: the Consul of the tests, without its pages.
FROM valve-test/debian:bookworm
COPY programs /usr/local/bin
ENTRYPOINT ["consul"]
