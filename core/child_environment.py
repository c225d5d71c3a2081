"""The environment of our own child processes: what they need, without what is secret.

A parser reads documents of strangers, and a model's process files of strangers. Neither talks to a server, so neither
is given a key. Tools of a user are given a list of a few names in place of this (`tools.isolation`).
"""

import os
import re
from collections.abc import Mapping

from core.config import PREFIX, Settings

_WORDS = ("key", "token", "secret", "password", "passwd", "passphrase", "credential", "credentials", "auth", "cookie")
_USER_AND_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
# The settings that are left out where settings are printed.
_SECRET_SETTINGS = frozenset(
    f"{PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if field.repr is False
)


def without_secrets(own: Mapping[str, str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """`own`, and of `environment` (None: this process's) all but keys, passwords and addresses that hold one."""
    known = os.environ if environment is None else environment
    return {**{name: value for name, value in known.items() if not _is_secret(name, value)}, **own}


def _is_secret(name: str, value: str) -> bool:
    words = re.split(r"[^a-z]+", name.lower())
    is_named_so = any(word.endswith(_WORDS) for word in words)
    return name in _SECRET_SETTINGS or is_named_so or bool(_USER_AND_PASSWORD.search(value))
