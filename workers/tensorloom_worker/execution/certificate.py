"""The certificate of our own cluster: made when it starts, known to its processes and nobody else.

Whoever reaches a Dask port runs code on it, and a loopback port is open to every user of the
machine. So scheduler, workers and client show each other one certificate, and hang up on who has
another one or none. Its key is passed on in memory; Python's TLS reads keys from files only, so
each context that Dask makes puts it for a moment into a temporary folder that only this user can
open.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed.security import Security

__all__ = ["own_security"]

NAME = "tensorloom-worker"

DAYS = 36_500
"""A worker that is started again must be let in, however long the service has been running: Dask's
own temporary certificate ends after a year [days]."""


def own_security() -> Security:
    """A new certificate of its own authority, for each role in a cluster.

    On an elliptic curve: its key is made at once, and a connection is cheaper than with RSA.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    # Clocks may be set back a little.
    now = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return Security(
        require_encryption=True,
        tls_ca_file=pem,
        tls_client_cert=pem,
        tls_client_key=secret,
        tls_scheduler_cert=pem,
        tls_scheduler_key=secret,
        tls_worker_cert=pem,
        tls_worker_key=secret,
    )
