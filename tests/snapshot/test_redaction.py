"""Which names are taken for secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.snapshot import redaction
from agentsight_auto.snapshot.redaction import is_secret_name

SECRET = (  # noqa: SIM905 - words read best as text
    "password passwd pwd secret token api_key apikey api-key authorization auth_token access_token refresh_token "
    "client_secret private_key cookie credential credentials x-api-key X-API-Key Authorization Proxy-Authorization "
    "Set-Cookie APIKey apiKey myAPIKey OPENAI_API_KEY AWS_SECRET_ACCESS_KEY userPassword accessToken AccessToken "
    "clientSecret DB_PASSWORD password1 password_2 auth AUTH csrf_token token2 secretKey PRIVATE_KEY accesstoken jwt"
).split()
HARMLESS = (  # noqa: SIM905 - words read best as text
    "prompt_tokens max_tokens total_tokens tokens tokenizer secretary keyboard author key keys monkey token_count "
    "token_usage tokenUsage max_token cost_per_token passenger compass authors authority authored public_key "
    "primary_key foreign_key cookiecutter tokenize eos_token token_type auth_type name id message passport_country "
    "api_version access_level private_note signature"
).split()


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets_are_found(name: str) -> None:
    """Each usual spelling of a secret's name is taken for one."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_names_that_only_resemble_secrets_are_left_alone(name: str) -> None:
    """Words that merely contain a secret word, and counts of model tokens, are recorded."""
    assert not is_secret_name(name)


@given(st.sampled_from(["api key", "access token", "client secret", "private key", "user password", "set cookie"]))
def test_the_case_style_does_not_matter(words: str) -> None:
    """The same words are found in snake, kebab, camel, Pascal, upper and spaced form."""
    parts = words.split()
    camel = parts[0] + "".join(part.title() for part in parts[1:])
    for name in (
        "_".join(parts),
        "-".join(parts),
        camel,
        words.title().replace(" ", ""),
        "_".join(parts).upper(),
        words,
    ):
        assert is_secret_name(name), name
        assert is_secret_name(f"old_{name}"), name


@given(st.text(max_size=300))
def test_any_text_is_a_name_and_the_answer_stays_the_same(name: str) -> None:
    """No name raises, and a remembered answer equals the first one."""
    assert is_secret_name(name) is is_secret_name(name)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with endless names does not grow the memory, and long names are not kept at all."""
    monkeypatch.setattr(redaction, "_known", {})
    for number in range(10_000):
        is_secret_name(f"name_{number}")
    assert len(redaction._known) <= 4096
    redaction._known.clear()
    assert is_secret_name("password" + "_" * 1000)
    assert redaction._known == {}
