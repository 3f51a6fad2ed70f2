"""The secrets of a config: what a change keeps of them, where they may go, and which sign from now on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.actions.config_options import ALWAYS_SIGNED, SIGNED, format_of, means_nothing_to
from postback.actions.config_wants import OF_A_RESOURCE
from postback.actions.fields import Errors
from postback.domain.configs import PostbackConfig, SigningSecret
from postback.domain.errors import InvalidValue
from postback.domain.masking import MASK, is_secret_header
from postback.domain.urls import parse_url
from postback.formats.signing import new_secret

LIVE_MAX: Final = 5
"""Signing secrets at the same time: each is a signature in the header of every attempt."""

OVERLAP_S: Final = 86_400
OVERLAP_MAX_S: Final = 7 * 86_400


def merged(old: PostbackConfig, sent: Mapping[str, object]) -> Mapping[str, object]:
    """What was sent, over what is kept of the old; each `***` but the signing secret's is replaced by what it keeps."""
    fields = {**_kept(old, sent), **sent}
    if fields.get("basic_auth_username") is None:
        # Without its user a kept password is of no use. One that was sent is refused for that, whichever it is:
        # an answer that depends on the kept one would tell it to whoever asks often enough.
        if "basic_auth_password" not in sent:
            fields.pop("basic_auth_password", None)
    elif fields.get("basic_auth_password") == MASK and old.basic_auth is not None:
        fields["basic_auth_password"] = old.basic_auth.password
    headers = fields.get("headers")
    if isinstance(headers, dict):
        kept = {name.lower(): value for name, value in old.headers.items()}
        fields["headers"] = {
            name: kept.get(name.lower(), value) if value == MASK else value for name, value in headers.items()
        }
    refuse_masks(fields, has_signing_secret=bool(old.signing_secrets))
    return fields


def refuse_masks(fields: Mapping[str, object], *, has_signing_secret: bool = False) -> None:
    message = f"{MASK} keeps a value, and none is set"
    if fields.get("basic_auth_password") == MASK:
        raise InvalidValue.of("basic_auth_password", message)
    if fields.get("signing_secret") == MASK and not has_signing_secret:
        raise InvalidValue.of("signing_secret", message)
    headers = fields.get("headers")
    if isinstance(headers, dict):
        for name, value in headers.items():
            if value == MASK:
                raise InvalidValue.of("headers", f"{name}: {message}")


def refuse_secrets_for_others(old: PostbackConfig, fields: Mapping[str, object]) -> None:
    """Whoever may change a config must not get at its secrets by pointing it at a server of their own."""
    url = fields.get("url")
    if not isinstance(url, str) or not _goes_elsewhere(old.url, url):
        return
    errors = Errors()
    message = "must be sent again, because url goes to another scheme, host or port"
    keeps_user = fields.get("basic_auth_username", MASK) is not None
    keeps_password = fields.get("basic_auth_password", MASK) == MASK
    if old.basic_auth is not None and old.basic_auth.password and keeps_user and keeps_password:
        errors.add("basic_auth_password", f"basic_auth_password {message}")
    headers = fields.get("headers", dict.fromkeys(old.headers, MASK))
    if isinstance(headers, dict):
        for name, value in headers.items():
            if value == MASK and is_secret_header(name):
                errors.add("headers", f"{name} {message}")
    errors.raise_any()


def signing_secrets(old: PostbackConfig, values: Mapping[str, Any], now_ms: int) -> tuple[SigningSecret, ...]:
    """Those that sign from now on, the current one first.

    On the way to another server they are replaced: whoever gets there by a change could sign for us elsewhere.
    """
    chosen = format_of(values)
    if chosen not in SIGNED:
        return ()
    sent = values.get("signing_secret")
    live = live_secrets(old.signing_secrets, now_ms)
    stays = bool(live) and sent in (MASK, live[0].text) and not _goes_elsewhere(old.url, values["url"])
    if stays:
        return live
    if sent is not None and sent != MASK:
        return (SigningSecret(sent),)
    return (SigningSecret(new_secret()),) if sent == MASK or chosen == ALWAYS_SIGNED else ()


def rotated(secrets: Sequence[SigningSecret], now_ms: int, overlap_s: int) -> tuple[SigningSecret, ...]:
    """A new one in front. No other signs longer than the overlap: without one, whoever knows an old one knows nothing
    any more. Of more than LIVE_MAX those go first that would end first."""
    end_ms = now_ms + overlap_s * 1000
    ending = [
        SigningSecret(secret.text, min(end_ms, secret.expires_ms or end_ms)) for secret in live_secrets(secrets, now_ms)
    ]
    by_end = sorted(ending, key=lambda secret: secret.expires_ms or 0, reverse=True) if overlap_s else []
    return (SigningSecret(new_secret()), *by_end[: LIVE_MAX - 1])


def live_secrets(secrets: Sequence[SigningSecret], now_ms: int) -> tuple[SigningSecret, ...]:
    return tuple(secret for secret in secrets if secret.expires_ms is None or now_ms < secret.expires_ms)


def _kept(config: PostbackConfig, sent: Mapping[str, object]) -> dict[str, object]:
    """The fields as their owner last sent them, secrets included, but for those that go away with what is sent now."""
    fields = dict(config.as_sent)
    if config.basic_auth is not None:
        fields["basic_auth_username"] = config.basic_auth.username
        fields["basic_auth_password"] = config.basic_auth.password
    if config.headers:
        fields["headers"] = dict(config.headers)
    if config.signing_secrets:
        fields["signing_secret"] = MASK
    gone: set[str] = set()
    if sent.get("format", config.format) != config.format:
        gone |= means_nothing_to(str(sent["format"]))
    if "resource" in sent and sent["resource"] is None:
        gone |= set(OF_A_RESOURCE)
    return {name: value for name, value in fields.items() if name not in gone}


def _goes_elsewhere(old: str, new: str) -> bool:
    try:
        will_be = parse_url(new, allow_http=True)
    except InvalidValue:
        # What cannot be read is refused for itself, by name.
        return False
    try:
        was = parse_url(old, allow_http=True)
    except InvalidValue:
        return True
    return (was.scheme, was.host, was.port) != (will_be.scheme, will_be.host, will_be.port)
