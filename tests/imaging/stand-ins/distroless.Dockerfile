# Stands in for distroless's base-nossl-debian12:nonroot: glibc, CA certificates, time zones, a user; no shell, no tools.
FROM valve-test/debian:bookworm AS debian
WORKDIR /packages
RUN apt-get update \
    && apt-get download base-files netbase tzdata ca-certificates libc6 \
    && mkdir /image \
    && for package in *.deb; do dpkg-deb --extract "$package" /image; done \
    && rm -rf /image/usr/share/doc /image/usr/share/man /image/usr/share/lintian /image/usr/sbin /image/usr/bin /image/bin \
    && mkdir -p /image/etc/ssl/certs /image/home/nonroot /image/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > /image/etc/passwd \
    && printf 'root:x:0:\nnonroot:x:65532:\n' > /image/etc/group \
    && chown 65532:65532 /image/home/nonroot && chmod 1777 /image/tmp

FROM scratch
COPY --from=debian /image/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
