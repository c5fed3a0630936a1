"""API keys: who may ask what.

A key is 32 random bytes, so SHA-256 is enough to store it by: there is nothing to guess that a slow hash as
bcrypt would protect, and it would cost every request a tenth of a second.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from gliascope.errors import GliascopeError, explain
from gliascope.runtime.files import write_text
from gliascope.server.api_error import ApiError
from gliascope.server.headers import is_cross_site

KEY_PREFIX = "gliascope_"
"""Lets scanners for leaked secrets recognise a key."""

Scope = Literal["predict", "admin"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `admin` includes `predict`."""

    name: str
    scopes: frozenset[str]

    def has_scope(self, scope: Scope) -> bool:
        """Whether it holds the scope."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL_IDENTITY = Identity("", frozenset({"admin"}))
"""Anybody, of a server without keys."""


class Key(BaseModel):
    """One entry of the file; `sha256` of the whole key, in hex."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: datetime


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Key, ...] = ()


class KeyRing:
    """The keys of a file; it does not change, so a reload puts another in its place."""

    def __init__(self, keys: tuple[Key, ...] = ()) -> None:
        self.keys = keys

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Raises GliascopeError where the file is missing or damaged."""
        try:
            content = _File.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            message = f"{path}: not found; make a key with `gliascope keys add NAME --file {path}`"
            raise GliascopeError(message) from None
        except ValidationError as error:
            message = f"{path}: is no file of keys ({explain(error)}); restore it, or make its keys anew"
            raise GliascopeError(message) from None
        names = [key.name for key in content.keys]
        if len(set(names)) < len(names):
            raise GliascopeError(f"{path}: holds two keys of one name; remove one")
        return cls(content.keys)

    def save(self, path: Path) -> None:
        """Write the file, at once as a whole. What it holds opens nothing, so others may read it."""
        write_text(path, _File(keys=self.keys).model_dump_json(indent=2) + "\n")

    def add(self, name: str, scopes: tuple[Scope, ...]) -> tuple["KeyRing", str]:
        """Another ring with a new key, and the key, which is nowhere else.

        Raises GliascopeError for a name that is taken or has other characters than letters, digits and ._@-
        """
        if any(key.name == name for key in self.keys):
            raise GliascopeError(f"{name}: there is a key of that name; remove it first, or take another")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            key = Key(name=name, scopes=scopes, sha256=_digest(secret), created=now)
        except ValidationError as error:
            message = f"{name!r}: cannot be a key's name ({explain(error)}); use letters, digits and ._@-"
            raise GliascopeError(message) from None
        return KeyRing((*self.keys, key)), secret

    def remove(self, name: str) -> "KeyRing":
        """Another ring without that key. Raises GliascopeError where there is none of the name."""
        left = tuple(key for key in self.keys if key.name != name)
        if len(left) == len(self.keys):
            raise GliascopeError(f"{name}: no such key; `gliascope keys list` shows them")
        return KeyRing(left)

    def authenticate(self, header: str | None) -> Identity:
        """Whose key an Authorization header holds. Raises Refusal (401)."""
        scheme, _, secret = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise _unauthorized("give an API key: `Authorization: Bearer KEY`")
        digest = _digest(secret.strip())
        # All of them, each in constant time.
        found = [key for key in self.keys if hmac.compare_digest(key.sha256, digest)]
        if not found:
            raise _unauthorized("this API key is not known; ask for one who runs the server")
        return Identity(found[0].name, frozenset(found[0].scopes))


def parse_scopes(names: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes of these names, each once. Raises GliascopeError for another."""
    known: dict[str, Scope] = {scope: scope for scope in get_args(Scope)}
    for name in names:
        if name not in known:
            raise GliascopeError(f"{name}: no such scope; choose from {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def require_scope(scope: Scope) -> Callable[[Request], Awaitable[Identity]]:
    """Dependency of a route: the Identity that asks, also in `request.state.identity`.

    Asks `app.state.keys`, a KeyRing, or None for a server without; that one takes nothing from pages of other
    sites but of `app.state.origins`. Raises Refusal, 401 or 403.
    """

    async def identity(request: Request) -> Identity:
        ring: KeyRing | None = request.app.state.keys
        if ring is None and is_cross_site(request.headers, request.app.state.origins):
            message = "a page of another site asked this; open the server's own page, or use API keys"
            raise ApiError(403, "cross_site", message)
        who = LOCAL_IDENTITY if ring is None else ring.authenticate(request.headers.get("authorization"))
        request.state.identity = who
        if not who.has_scope(scope):
            raise ApiError(403, "forbidden", f"this API key lacks the scope `{scope}`")
        return who

    return identity


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})
