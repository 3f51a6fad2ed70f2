"""Certificates made for a test: a CA of our own, and what it or nobody signs."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """A CA. `file` is its certificate, for those who are to trust it."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = (
            _builder(self._name, self._name, self._key, datetime.now(UTC) + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(
        self,
        names: Sequence[str] = ("localhost", "127.0.0.1"),
        *,
        days: int = 30,
        padding: int = 0,
        self_signed: bool = False,
        saying: x509.ExtensionType | None = None,
    ) -> ssl.SSLContext:
        """A server's side of TLS with a certificate for these names. Fewer than 0 days: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(names[0])
        builder = _builder(
            subject, subject if self_signed else self._name, key, datetime.now(UTC) + days * DAY
        ).add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        if padding:
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"x" * padding)
            builder = builder.add_extension(extension, critical=False)
        if saying is not None:
            builder = builder.add_extension(saying, critical=False)
        certificate = builder.sign(key if self_signed else self._key, hashes.SHA256())
        pem = self._folder / f"server-{certificate.serial_number}.pem"
        pem.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 60 * DAY)
        .not_valid_after(until)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
