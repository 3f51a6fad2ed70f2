"""The portal's cookies. Where the public URL is https they are bound to this very host (`__Host-`)."""

from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

SESSION: Final = "session"
VISITOR: Final = "visitor"
"""What binds forms to a browser that is not signed in."""

FLASH: Final = "flash"
THEME: Final = "theme"

YEAR_S: Final = 31_536_000
FLASH_S: Final = 60


class Cookies(NamedTuple):
    """`is_encrypted` says whether the public URL is https."""

    is_encrypted: bool

    def get(self, request: Request, name: str) -> str | None:
        return request.cookies.get(self._name(name))

    def put(
        self, response: Response, name: str, value: str, max_age_s: int | None = None, *, is_framed: bool = False
    ) -> None:
        """Of a session that others' pages may frame the cookie goes along there, kept apart for each of them."""
        response.set_cookie(
            self._name(name),
            value,
            max_age=max_age_s,
            path="/",
            secure=self.is_encrypted,
            httponly=True,
            samesite="none" if is_framed and self.is_encrypted else "lax",
            partitioned=False,
        )
        if is_framed and self.is_encrypted:
            # The standard library writes the attribute from Python 3.14 on.
            raw = response.raw_headers
            key, cookie = raw[-1]
            raw[-1] = (key, cookie + b"; Partitioned")

    def remove(self, response: Response, name: str, *, is_framed: bool = False) -> None:
        """As it was put: the one of a frame is kept apart, and no other word takes it away."""
        self.put(response, name, "", 0, is_framed=is_framed)

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.is_encrypted else name
