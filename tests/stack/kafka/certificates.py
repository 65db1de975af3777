"""Makes the certificates of one test run: an authority, a server's for the loopback interface, a client's.

    certificates.py DIRECTORY

Writes PEM files: ca.pem, server.pem and client.pem (certificates), server.key and client.key, server-chain.pem (key and
certificate, as Kafka wants them), and client-encrypted.key, whose password is PASSWORD below. stranger.pem and stranger.key
are of another authority, which nobody trusts.
"""

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PASSWORD = b"planted-key-password"
DAYS = datetime.timedelta(days=30)
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def builder(common_name, key, issuer):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder().subject_name(name_of(common_name)).issuer_name(name_of(issuer))
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - DAYS).not_valid_after(now + DAYS)
    )


def authority(common_name):
    key = ec.generate_private_key(ec.SECP256R1())
    is_authority = x509.BasicConstraints(ca=True, path_length=0)
    certificate = builder(common_name, key, common_name).add_extension(is_authority, critical=True)
    return key, certificate.sign(key, hashes.SHA256())


def issue(common_name, issuer, issuer_key, usage):
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        builder(common_name, key, issuer)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return key, certificate.sign(issuer_key, hashes.SHA256())


def key_pem(key, encryption=serialization.NoEncryption()):
    return key.private_bytes(PEM, PKCS8, encryption)


def main(directory):
    ca_key, ca = authority("valve-tests-ca")
    (directory / "ca.pem").write_bytes(ca.public_bytes(PEM))
    server_key, server = issue("valve-tests-server", "valve-tests-ca", ca_key, ExtendedKeyUsageOID.SERVER_AUTH)
    (directory / "server.pem").write_bytes(server.public_bytes(PEM))
    (directory / "server.key").write_bytes(key_pem(server_key))
    (directory / "server-chain.pem").write_bytes(key_pem(server_key) + server.public_bytes(PEM))
    client_key, client = issue("valve-tests-client", "valve-tests-ca", ca_key, ExtendedKeyUsageOID.CLIENT_AUTH)
    (directory / "client.pem").write_bytes(client.public_bytes(PEM))
    (directory / "client.key").write_bytes(key_pem(client_key))
    encrypted = key_pem(client_key, serialization.BestAvailableEncryption(PASSWORD))
    (directory / "client-encrypted.key").write_bytes(encrypted)
    other_key, _ = authority("valve-tests-other-ca")
    stranger_key, stranger = issue("stranger", "valve-tests-other-ca", other_key, ExtendedKeyUsageOID.CLIENT_AUTH)
    (directory / "stranger.pem").write_bytes(stranger.public_bytes(PEM))
    (directory / "stranger.key").write_bytes(key_pem(stranger_key))


main(Path(sys.argv[1]))
