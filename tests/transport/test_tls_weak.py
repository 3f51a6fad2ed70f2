"""TLS that is out of date: old versions, broken ciphers and hashes are refused; revocation is not asked about."""

import ssl
import warnings
from pathlib import Path

import pytest
from cryptography import x509

from postback.domain.wire import Reason
from postback.transport.tls import client_context
from tests.receivers import answers, receiving
from tests.transport.certificates import Authority
from tests.transport.posting import OpenSender, post, reason_in, status_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(str(authority.file))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
async def test_94_each_old_version_is_refused(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    server = authority.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.minimum_version = server.maximum_version = version
    server.set_ciphers("ALL:@SECLEVEL=0")
    async with receiving(answers(), tls=server) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert outcome.timings.sent_after_ms is None
    assert receiver.received == []


def test_94_no_broken_cipher_is_offered(trusting: ssl.SSLContext) -> None:
    offered = {str(cipher["name"]) for cipher in trusting.get_ciphers()}

    assert "TLS_AES_256_GCM_SHA384" in offered
    for broken in ("RC4", "DES", "NULL", "EXP", "MD5", "ADH", "AECDH", "PSK"):
        assert not [name for name in offered if broken in name], broken


@pytest.mark.parametrize("ciphers", ["AES256-SHA", "ECDHE-ECDSA-NULL-SHA"])
async def test_94_a_receiver_that_knows_broken_ciphers_only_is_refused(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, ciphers: str
) -> None:
    server = authority.server()
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    async with receiving(answers(), tls=server) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert receiver.received == []


def test_94_no_signature_by_sha_1_counts(trusting: ssl.SSLContext) -> None:
    """From the second level on OpenSSL takes neither SHA-1 nor MD5 in certificates and handshakes, nor short keys."""
    assert trusting.security_level >= 2


async def test_94_lists_of_revoked_certificates_are_not_asked_for(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    """Nobody is told whom we deliver to, and nobody who does not answer holds a delivery up."""
    async with receiving(answers()) as list_of_revoked:
        points = x509.CRLDistributionPoints(
            [x509.DistributionPoint([x509.UniformResourceIdentifier(list_of_revoked.url)], None, None, None)]
        )
        async with receiving(answers(), tls=authority.server(saying=points)) as receiver:
            outcome = await post(open_sender(context=trusting), receiver.url)

    assert status_of(outcome) == 200
    assert list_of_revoked.connections == 0
