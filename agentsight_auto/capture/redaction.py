"""Which names carry secrets: the values of such parameters, keys and headers are never recorded.

In: a name, as it stands in the user's code or data. Out: whether its value is masked.
Loses: nothing here; what is masked reads `MASK` in its event.
"""

from __future__ import annotations

import re

MASK = "[masked]"

_MAX_NAME_CHARS = 128
_MAX_KNOWN_NAMES = 4096

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SECRET_WORDS = frozenset(
    "password passwords passwd pwd passphrase passphrases passcode passcodes secret secrets token apitoken authtoken "  # noqa: SIM905
    "accesstoken accesstokens refreshtoken refreshtokens bearertoken sessiontoken idtoken bearer jwt apikey apikeys "
    "authkey accesskey accesskeys privatekey privatekeys secretkey secretkeys clientsecret signingkey encryptionkey "
    "sshkey authorization authheader credential credentials cookie cookies setcookie".split()
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

_ROOTS = ("pass", "pwd", "secret", "token", "key", "auth", "cookie", "credential", "bearer", "jwt")
"""Each secret word contains one of these: names without any are told apart without splitting them into words."""

_known: dict[str, bool] = {}


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, key or header of this name holds a secret.

    Whole words decide, in snake, camel or kebab case: ``X-Api-Key`` and ``userPassword`` do, ``tokenizer`` does not.
    ``token`` is harmless where it counts or names model tokens: ``token_usage``, ``cost_per_token``, ``tokens``.
    """
    known = _known.get(name)
    if known is not None:
        return known
    if len(name) > _MAX_NAME_CHARS:
        return _names_secret(name[:_MAX_NAME_CHARS])
    if len(_known) >= _MAX_KNOWN_NAMES:
        _known.clear()
    known = _known[name] = _names_secret(name)
    return known


def _names_secret(name: str) -> bool:
    lower = name.lower()
    for root in _ROOTS:
        if root in lower:
            break
    else:
        return False
    if lower == "auth":  # as in requests.get(url, auth=(user, password)); in auth_type it is harmless
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        if before + word in _SECRET_WORDS:
            return True
        if word in _SECRET_WORDS and not (word == "token" and _is_model_token(words, position)):
            return True
    return False


def _is_model_token(words: list[str], position: int) -> bool:
    before = words[position - 1] if position else ""
    after = words[position + 1] if position + 1 < len(words) else ""
    return before in _HARMLESS_BEFORE_TOKEN or after in _HARMLESS_AFTER_TOKEN
