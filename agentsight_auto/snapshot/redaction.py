"""Which names carry secrets: the values of such parameters, keys and headers are never recorded.

In: a name, as it stands in the user's code or data. Out: whether its value is masked.
Loses: nothing here; what is masked reads `MASK` in its event.
"""

from __future__ import annotations

import re
from operator import add
from typing import Any

MASK = "[masked]"

_MAX_NAME_CHARS = 128
_MAX_KNOWN_NAMES = 4096

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SECRET_WORDS = frozenset(
    "password passwords passwd pwd passphrase passphrases passcode passcodes secret secrets token apitoken authtoken "  # noqa: SIM905
    "accesstoken accesstokens refreshtoken refreshtokens bearertoken sessiontoken idtoken bearer jwt apikey apikeys "
    "authkey accesskey accesskeys privatekey privatekeys secretkey secretkeys clientsecret signingkey encryptionkey "
    "sshkey authorization credential credentials cookie cookies setcookie".split()
)
"""Words that mark a secret, and pairs of words written together: ``api_key`` and ``apikey`` are the same pair."""

_HARMLESS_AFTER_TOKEN = frozenset(
    "count counts counter usage limit limits budget budgets type types length size cost costs price prices rate rates "  # noqa: SIM905
    "id ids index position window estimate stats details logprobs probs".split()
)
_HARMLESS_BEFORE_TOKEN = frozenset(
    "max min num n per total prompt completion input output embedding cached reasoning first last "  # noqa: SIM905
    "eos bos pad unk sep cls mask stop special".split()
)

_has_root = re.compile(
    "passw|passphrase|passcode|pwd|secret|token|authori|cookie|credential|bearer|jwt|"
    "(?:api|access|private|auth|sign|encrypt|ssh).*key"
).search
"""Each secret word contains one of these: the many names without any are told apart without being split into words."""

_known: dict[str, bool] = {}


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, key or header of this name holds a secret.

    Whole words decide, in snake, camel or kebab case: ``X-Api-Key`` and ``userPassword`` do, ``tokenizer`` does not.
    ``token`` is harmless where it counts or names model tokens: ``token_usage``, ``cost_per_token``, ``tokens``.
    """
    known = _known.get(name)
    if known is None:
        known = marks_secret(name[:_MAX_NAME_CHARS])
        if len(name) <= _MAX_NAME_CHARS:
            if len(_known) >= _MAX_KNOWN_NAMES:
                _known.clear()
            _known[name] = known
    return known


def mask_secrets(document: Any) -> Any:
    """Return a copy of a JSON value in which the values of names that mark a secret are `MASK`."""
    if isinstance(document, dict):
        return {key: MASK if is_secret_name(key) else mask_secrets(value) for key, value in document.items()}
    return [mask_secrets(item) for item in document] if isinstance(document, list) else document


def marks_secret(name: str) -> bool:
    """Decide what `is_secret_name` tells, without remembering it."""
    lower = name.lower()
    if _has_root(lower) is None:
        return lower == "auth"  # as in get(url, auth=(user, password)); in auth_type it is harmless
    words = " ".join(_WORD.findall(name)).lower().split()
    if not _SECRET_WORDS.isdisjoint(map(add, words, words[1:])):
        return True
    found = _SECRET_WORDS.intersection(words)
    if found != {"token"}:
        return bool(found)
    return not all(_is_model_token(words, at) for at, word in enumerate(words) if word == "token")


def _is_model_token(words: list[str], at: int) -> bool:
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    return before in _HARMLESS_BEFORE_TOKEN or after in _HARMLESS_AFTER_TOKEN
