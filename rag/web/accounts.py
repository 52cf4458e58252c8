"""Who may sign in: a file of names and hashed passwords, one account a line of JSON.

Made by `rag app-user add`, read by the page. A password is never kept, only its scrypt hash with a
salt of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

from rag.errors import CorpusError, DiskError, SettingsError
from rag.files import write_atomically

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# RFC 7914's parameters at 16 MB and some 50 ms a try.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1


@dataclass(frozen=True, slots=True)
class Account:
    """A name with the hash of its password."""

    name: str
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        """Whether a password is this account's."""
        return hmac.compare_digest(_digest(password, self.salt), self.digest)


_NOBODY = Account("", bytes(16), bytes(32))  # costs a stranger's try as much time as a user's


class Accounts:
    """The accounts of a file, read once."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            SettingsError: it cannot be read or holds no account.
        """
        self._accounts = read_accounts(path)
        if not self._accounts:
            raise SettingsError(f"{path} holds no account; `rag app-user add NAME FILE` adds one.")

    def admits(self, name: str, password: str) -> bool:
        """Whether name and password belong together; takes as long for an unknown name."""
        account = self._accounts.get(name.strip().casefold(), _NOBODY)
        return account.fits(password[:LONGEST_PASSWORD]) and account is not _NOBODY


def read_accounts(path: Path) -> dict[str, Account]:
    """Name -> account.

    Raises:
        SettingsError: the file cannot be read or is none of accounts.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        accounts = [_account(json.loads(line)) for line in lines if line.strip()]
    except OSError as error:
        raise SettingsError(f"The accounts in {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is no file of accounts; `rag app-user add NAME FILE` makes one."
        ) from error
    return {account.name: account for account in accounts}


def add_account(path: Path, name: str, password: str) -> None:
    """Adds an account to a file, which is made where it is missing, or changes its password.

    Raises:
        CorpusError: name or password cannot be used.
        SettingsError: the file is none of accounts.
        DiskError: it cannot be written.
    """
    name = name.strip().casefold()
    if not _NAME.fullmatch(name):
        raise CorpusError(
            f"{name!r} cannot be a user's name; use at most 32 letters, digits, '.', '-' and '_'."
        )
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise CorpusError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    accounts = read_accounts(path) if path.exists() else {}
    salt = token_bytes(16)
    accounts[name] = Account(name, salt, _digest(password, salt))
    _write(path, accounts)


def remove_account(path: Path, name: str) -> None:
    """Takes an account out of a file.

    Raises:
        CorpusError: there is none of this name.
        SettingsError, DiskError: the file cannot be read or written.
    """
    accounts = read_accounts(path)
    if accounts.pop(name.strip().casefold(), None) is None:
        raise CorpusError(f"{path} has no account {name!r}.", path=path)
    _write(path, accounts)


def _write(path: Path, accounts: dict[str, Account]) -> None:
    lines = [
        json.dumps({"name": each.name, "salt": _shown(each.salt), "scrypt": _shown(each.digest)})
        for each in accounts.values()
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{path.parent} cannot be made: {error.strerror}.") from error
    before = os.umask(0o077)  # nobody else needs to read it
    try:
        write_atomically(path, "".join(f"{line}\n" for line in lines))
    finally:
        os.umask(before)


def _account(values: dict[str, str]) -> Account:
    return Account(values["name"], b64decode(values["salt"]), b64decode(values["scrypt"]))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL
    )


def _shown(value: bytes) -> str:
    return b64encode(value).decode("ascii")
