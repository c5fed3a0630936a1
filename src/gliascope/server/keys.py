"""API keys and their scopes.

A key is 32 random bytes, so storing its SHA-256 is safe. A slow hash such as bcrypt is for passwords, which
can be guessed; it would cost every request a tenth of a second.
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

from gliascope.errors import GliascopeError, first_error
from gliascope.runtime.files import write_text
from gliascope.server.api_error import ApiError
from gliascope.server.headers import is_cross_site

KEY_PREFIX = "gliascope_"
"""Start of every key, by which scanners for leaked secrets recognise it."""

Scope = Literal["predict", "admin"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The client of a request: the name of its API key, and the key's scopes."""

    name: str
    scopes: frozenset[str]

    def has_scope(self, scope: Scope) -> bool:
        """Whether the client holds a scope; `admin` includes `predict`."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL_IDENTITY = Identity("", frozenset({"admin"}))
"""Identity of every client of a server without keys."""


class Key(BaseModel):
    """One entry of the key file.

    Attributes
    ----------
    name
        Name of the key.
    scopes
        Scopes of the key.
    sha256
        SHA-256 of the key, `KEY_PREFIX` included, in hex.
    created
        Time at which the key was made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: datetime


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Key, ...] = ()


class KeyRing:
    """The keys of a key file. A ring is never changed: `add` and `remove` return another one."""

    def __init__(self, keys: tuple[Key, ...] = ()) -> None:
        self.keys = keys

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Read a key file. Raises GliascopeError if it is missing or damaged."""
        try:
            content = _File.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            message = f"{path}: not found; make a key with `gliascope keys add NAME --file {path}`"
            raise GliascopeError(message) from None
        except ValidationError as error:
            message = f"{path}: is not a key file ({first_error(error)}); restore it, or make new keys"
            raise GliascopeError(message) from None
        names = [key.name for key in content.keys]
        if len(set(names)) < len(names):
            raise GliascopeError(f"{path}: holds two keys of the same name; remove one")
        return cls(content.keys)

    def save(self, path: Path) -> None:
        """Write the key file atomically. It holds hashes only, so other users may read it."""
        write_text(path, _File(keys=self.keys).model_dump_json(indent=2) + "\n")

    def add(self, name: str, scopes: tuple[Scope, ...]) -> tuple["KeyRing", str]:
        """Make a new key.

        Parameters
        ----------
        name
            Name of the key.
        scopes
            Scopes of the key.

        Returns
        -------
        ring
            A ring that holds the new key too.
        secret
            The key itself, which is stored nowhere.

        Raises
        ------
        GliascopeError
            If the name is taken, or has other characters than letters, digits and ._@-
        """
        if any(key.name == name for key in self.keys):
            raise GliascopeError(f"{name}: a key of this name exists; remove it, or choose another name")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            key = Key(name=name, scopes=scopes, sha256=_digest(secret), created=now)
        except ValidationError as error:
            message = f"{name!r}: cannot be a key's name ({first_error(error)}); use letters, digits and ._@-"
            raise GliascopeError(message) from None
        return KeyRing((*self.keys, key)), secret

    def remove(self, name: str) -> "KeyRing":
        """Return a ring without the key of this name. Raises GliascopeError if there is none."""
        left = tuple(key for key in self.keys if key.name != name)
        if len(left) == len(self.keys):
            raise GliascopeError(f"{name}: no such key; `gliascope keys list` shows them")
        return KeyRing(left)

    def authenticate(self, header: str | None) -> Identity:
        """Return the identity of the key in an Authorization header.

        Raises
        ------
        ApiError
            401 if the header is missing or malformed, or the key is unknown.
        """
        scheme, _, secret = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise _unauthorized("give an API key: `Authorization: Bearer KEY`")
        digest = _digest(secret.strip())
        # All keys are compared, each in constant time: the time of a response tells nothing of the keys.
        matches = [key for key in self.keys if hmac.compare_digest(key.sha256, digest)]
        if not matches:
            raise _unauthorized("this API key is not known; ask whoever runs the server for one")
        return Identity(matches[0].name, frozenset(matches[0].scopes))


def parse_scopes(names: Sequence[str]) -> tuple[Scope, ...]:
    """Turn names into scopes, each once. Raises GliascopeError for an unknown name."""
    known: dict[str, Scope] = {scope: scope for scope in get_args(Scope)}
    for name in names:
        if name not in known:
            raise GliascopeError(f"{name}: no such scope; choose from {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def require_scope(scope: Scope) -> Callable[[Request], Awaitable[Identity]]:
    """Make the dependency of a route that authenticates a request.

    The keys are `app.state.keys`, which is None on a server without keys. Such a server refuses requests from
    pages of other sites, except of `app.state.origins`.

    Parameters
    ----------
    scope
        Scope that the API key must hold.

    Returns
    -------
    Callable
        Gives the client's `Identity`, and sets `request.state.identity`. Raises ApiError: 401 without a valid
        key, 403 without the scope or for a request from a page of another site.
    """

    async def identity(request: Request) -> Identity:
        ring: KeyRing | None = request.app.state.keys
        if ring is None and is_cross_site(request.headers, request.app.state.origins):
            message = "a page of another site sent this; open the server's own page, or use API keys"
            raise ApiError(403, "cross_site", message)
        client = LOCAL_IDENTITY if ring is None else ring.authenticate(request.headers.get("authorization"))
        request.state.identity = client
        if not client.has_scope(scope):
            raise ApiError(403, "forbidden", f"this API key lacks the scope `{scope}`")
        return client

    return identity


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})
