# The image of valve. `docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t valve .`

# Where it is built: Rust with a C compiler, make and perl. And on what it runs: glibc and CA certificates, no OpenSSL.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build

# How it is compiled: `dist` is what is shipped; tests/image also builds the quick one.
ARG PROFILE=dist

# The dependencies first, on an empty program: this layer stays until they change.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir -p src tests \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs tests/container_judges.rs tests/end_to_end.rs \
    && cargo build --locked --profile "${PROFILE}"

# Which commit `valve --version` tells; there is no git in here.
ARG COMMIT=
COPY build.rs ./
COPY src src
# The empty program is younger than the sources.
RUN touch src/main.rs src/lib.rs && VALVE_COMMIT="${COMMIT}" cargo build --locked --profile "${PROFILE}" \
    && cp "target/${PROFILE}/valve" valve
# The one library besides glibc's: it unwinds the stack.
RUN cp "$(gcc -print-file-name=libgcc_s.so.1)" libgcc_s.so.1

FROM ${RUNTIME_IMAGE}

ARG COMMIT=
LABEL org.opencontainers.image.title="valve" \
      org.opencontainers.image.description="Kafka to hourly Avro files on S3, exactly once, in bounded memory" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${COMMIT}"

COPY --from=build /build/libgcc_s.so.1 /usr/lib/libgcc_s.so.1
COPY LICENSE /usr/share/doc/valve/LICENSE
COPY --from=build /build/valve /usr/local/bin/valve

# Nobody's: valve needs no right on this file system, which may be read-only.
USER 65532:65532

ENV VALVE_HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["valve", "healthcheck"]

# No shell between: SIGTERM reaches valve.
ENTRYPOINT ["valve"]
CMD ["run"]
