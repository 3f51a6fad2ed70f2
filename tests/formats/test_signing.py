"""Signatures, against two implementations that are not ours: the package standardwebhooks and openssl."""

import base64
import hashlib
import hmac
import shutil
import subprocess
import time

import pytest
from standardwebhooks.webhooks import Webhook

from postback.domain.configs import FormatOptions, SigningSecret
from postback.domain.errors import CannotRender
from postback.domain.ids import event_text
from postback.formats import FORMATS, Format, Rendered, signing
from postback.formats.signing import accepts, key_of, new_secret, secret_text, sign
from tests.build import NOON, a_config, an_event

OLD, NEW, OTHER = (secret_text(bytes((number,)) * 32) for number in (1, 2, 3))
BODY = b'{"type":"contact.created"}'

each_format = pytest.mark.parametrize("chosen", [FORMATS["json"], FORMATS["cloudevents"]], ids=lambda one: one.NAME)


def rendered(name: str, *secrets: SigningSecret, now_ms: int = NOON) -> Rendered:
    data = '{"note":"Grüße, \\u00e9 & 𝄞"}'.encode()
    config = a_config(format=name, signing_secrets=secrets)
    return FORMATS[name].render(an_event(data=data), config, 1, now_ms)


def signatures(posted: Rendered) -> list[str]:
    return dict(posted.headers)["webhook-signature"].split(" ")


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_new_secret_is_32_random_bytes() -> None:
    asked = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    assert new_secret(random_bytes) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert asked == [32]


def test_no_two_new_secrets_are_the_same() -> None:
    assert len({key_of(new_secret()) for _ in range(100)}) == 100


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
def test_a_secret_is_the_text_of_its_key(size: int) -> None:
    key = bytes(range(200, 200 + size)) if size < 50 else bytes(range(size))

    assert key_of(secret_text(key)) == key


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "begins with whsec_"),
        ("whsec", "begins with whsec_"),
        (base64.b64encode(bytes(32)).decode(), "begins with whsec_"),
        ("WHSEC_" + base64.b64encode(bytes(32)).decode(), "begins with whsec_"),
        (" " + NEW, "begins with whsec_"),
        ("whsec_", "base64 with its padding"),
        ("whsec_é" + "A" * 43, "base64 with its padding"),
        ("whsec_" + "-_" * 22, "base64 with its padding"),
        (NEW + "\n", "base64 with its padding"),
        (NEW.rstrip("="), "base64 with its padding"),
        (NEW + "====", "base64 with its padding"),
        (NEW[:-2] + "B=", "base64 with its padding"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "24 to 64 bytes; this one has 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64 bytes; this one has 65"),
    ],
)
def test_a_text_that_is_no_secret_is_refused_and_not_shown(secret: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        key_of(secret)

    assert secret.removeprefix("whsec_") not in str(refused.value) or len(secret) < 10


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_key_of_another_size_has_no_text(size: int) -> None:
    with pytest.raises(ValueError, match=f"24 to 64 bytes; this one has {size}"):
        secret_text(bytes(size))


# --- signatures ------------------------------------------------------------------------------------------------------


def test_a_signature_is_the_hmac_of_id_time_and_body() -> None:
    expected = hmac.new(key_of(NEW), b"evt_1.1790000000." + BODY, hashlib.sha256).digest()

    assert sign([NEW], "evt_1", 1_790_000_000, BODY) == f"v1,{base64.b64encode(expected).decode()}"


def test_the_example_of_the_specification_is_signed_as_it_is_printed_there() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'

    signature = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@each_format
def test_the_headers_of_an_attempt(chosen: Format) -> None:
    posted = rendered(chosen.NAME, SigningSecret(NEW), now_ms=NOON + 999)

    assert posted.headers == (
        ("webhook-id", event_text(an_event().id)),
        ("webhook-timestamp", "1790000000"),
        ("webhook-signature", sign([NEW], event_text(an_event().id), 1_790_000_000, posted.body)),
    )


@each_format
def test_the_package_standardwebhooks_accepts_what_we_sign(chosen: Format) -> None:
    now_ms = int(time.time() * 1000)

    posted = rendered(chosen.NAME, SigningSecret(NEW), SigningSecret(OLD, now_ms + 1), now_ms=now_ms)

    for secret in (NEW, OLD):
        read = Webhook(secret).verify(posted.body, dict(posted.headers))
        assert read["data"] == {"note": "Grüße, é & 𝄞"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
@each_format
def test_openssl_computes_the_same_signature(chosen: Format) -> None:
    posted = rendered(chosen.NAME, SigningSecret(NEW))
    headers = dict(posted.headers)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + posted.body

    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key_of(NEW).hex()}", "-binary"]
    digest = subprocess.run(command, input=signed, capture_output=True, check=True).stdout

    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


# --- rotation --------------------------------------------------------------------------------------------------------


def test_both_secrets_sign_until_the_old_one_expires() -> None:
    secrets = (SigningSecret(NEW), SigningSecret(OLD, NOON + 86_400_000))

    during = rendered("json", *secrets, now_ms=NOON + 86_399_999)
    after = rendered("json", *secrets, now_ms=NOON + 86_400_000)

    id = event_text(an_event().id)
    assert signatures(during) == [sign([one], id, 1_790_086_399, during.body) for one in (NEW, OLD)]
    assert signatures(after) == [sign([NEW], id, 1_790_086_400, after.body)]


def test_a_body_is_the_same_in_every_attempt_and_signed_anew() -> None:
    first, later = (rendered("json", SigningSecret(NEW), now_ms=now_ms) for now_ms in (NOON, NOON + 5_000))

    assert first.body == later.body
    assert dict(first.headers)["webhook-id"] == dict(later.headers)["webhook-id"]
    assert signatures(first) != signatures(later)


@each_format
def test_a_config_whose_secrets_have_all_expired_sends_nothing_unsigned(chosen: Format) -> None:
    with pytest.raises(CannotRender, match="no signing secret that is still valid"):
        rendered(chosen.NAME, SigningSecret(OLD, NOON))


def test_the_format_json_needs_a_secret() -> None:
    with pytest.raises(CannotRender, match="no signing secret"):
        rendered("json")


def test_a_stored_secret_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(CannotRender, match="a signing secret of the config cannot be read") as refused:
        rendered("json", SigningSecret("whsec_hunter2"))

    assert "hunter2" not in str(refused.value)


def test_an_algorithm_that_we_do_not_speak_cannot_be_rendered() -> None:
    config = a_config(
        format="json", signing_secrets=(SigningSecret(NEW),), options=FormatOptions(signature_algorithm="v1a")
    )

    with pytest.raises(CannotRender, match="signature_algorithm is 'v1a'; expected v1"):
        FORMATS["json"].render(an_event(), config, 1, NOON)


# --- checking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent_with", "known", "accepted"),
    [
        ([NEW], [NEW], True),
        ([NEW, OLD], [NEW], True),
        ([NEW, OLD], [OLD], True),
        ([NEW, OLD], [OTHER, OLD], True),
        ([NEW], [OLD, NEW], True),
        ([NEW], [OLD], False),
        ([NEW, OLD], [OTHER], False),
        ([NEW], [], False),
    ],
)
def test_one_common_secret_is_enough(sent_with: list[str], known: list[str], accepted: bool) -> None:
    header = sign(sent_with, "evt_1", 7, BODY)

    assert accepts(known, "evt_1", 7, BODY, header) is accepted


@pytest.mark.parametrize(
    ("id", "timestamp", "body"), [("evt_2", 7, BODY), ("evt_1", 8, BODY), ("evt_1", 7, BODY + b" ")]
)
def test_a_signature_is_for_one_id_one_time_and_one_body(id: str, timestamp: int, body: bytes) -> None:
    assert not accepts([NEW], id, timestamp, body, sign([NEW], "evt_1", 7, BODY))


def test_every_secret_is_compared_with_every_signature_also_after_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time that an answer takes tells which secret it was."""
    header, compared = sign([NEW, OLD, OTHER], "evt_1", 7, BODY), []
    compare = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(signing.hmac, "compare_digest", counting)

    assert accepts([NEW, OLD], "evt_1", 7, BODY, header)
    assert len(compared) == 6


def test_only_so_many_signatures_are_looked_at() -> None:
    right, wrong = sign([NEW], "evt_1", 7, BODY), sign([OLD], "evt_1", 7, BODY)

    assert accepts([NEW], "evt_1", 7, BODY, " ".join([wrong] * 31 + [right]))
    assert not accepts([NEW], "evt_1", 7, BODY, " ".join([wrong] * 32 + [right]))


@pytest.mark.parametrize("header", ["v1,é", "\ud800", "v1,\udfff v1,", "\uff56\uff11,", "é" * 100_000, ""])
def test_signatures_that_are_not_ascii_are_no_signatures(header: str) -> None:
    assert not accepts([NEW], "evt_1", 7, BODY, header)
    assert accepts([NEW], "evt_1", 7, BODY, f"{header} {sign([NEW], 'evt_1', 7, BODY)}")
