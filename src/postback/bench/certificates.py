"""A certificate authority for one bench, and the certificate of its receivers."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOMAIN: Final = "bench.localhost"
"""Names below localhost are this machine for every resolver (RFC 6761): no name server is asked."""

_SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL: Final = _SINCE + timedelta(days=36500)


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """(the authority's certificate, the receivers' certificate with its chain and key), as PEM files in the folder."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        _certificate("postback bench", "postback bench", authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.DNSName(f"*.{DOMAIN}"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        _certificate(DOMAIN, "postback bench", key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trusted, served = folder / "authority.pem", folder / "receivers.pem"
    pem = serialization.Encoding.PEM
    trusted.write_bytes(authority.public_bytes(pem))
    plain_key = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    served.write_bytes(plain_key + certificate.public_bytes(pem))
    return trusted, served


def _certificate(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
