# Stands in for rust:…-bookworm: a C compiler, make and perl, and the Rust of the machine that made it.
FROM valve-test/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libc6-dev make perl \
    && rm -rf /var/lib/apt/lists/*
COPY cargo /usr/local/cargo
COPY toolchain /usr/local/rust
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
