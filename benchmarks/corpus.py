"""Conversations for benchmarks: as many as asked for, the same for the same seed, none of it from anywhere else.

Words are made of syllables and drawn with Zipf frequencies from 200,000; one word in two hundred is a number, a code or
an address that occurs nowhere else (support conversations with real models have one in 300). A message has 200 bytes in
the mean, a conversation six messages in the mean. Attributes have common and rare values; a few planted words occur in
a known share of the conversations.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

from agentsight_auto.events import Action, AnyEvent, ConversationStarted, Feedback, Message, TokenUsage

SEED = 20_261_128
FIRST_US = 1_735_689_600_000_000
"""2025-01-01 00:00 UTC, when the first conversation begins."""
BETWEEN_US = 31_000_000
"""From the beginning of one conversation to that of the next: a million of them are a year."""
PLANTED = {"zarquonite": 100_000, "brillwick": 1_000, "plumbago": 25}
"""Words, and in one of how many conversations each is said."""
RARE_CUSTOMER = "customer-rare"

_SYLLABLES = [
    onset + vowel + coda
    for onset in ("b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "l", "m", "n", "p", "r", "s", "st", "t", "tr")
    for vowel in ("a", "e", "i", "o", "u", "ea", "ou")
    for coda in ("", "", "n", "r", "s", "t", "l", "ng", "ck")
]  # fmt: skip
_LANGUAGES = (("en", 60), ("de", 20), ("es", 12), ("fr", 7), ("is", 1))
_SOURCES = (("web", 70), ("whatsapp", 25), ("voice", 5))
_DEVICES = (("mobile", 60), ("desktop", 35), ("tablet", 5))
_ENVIRONMENTS = (("production", 90), ("development", 9), ("staging", 1))
_PLANS = (("free", 70), ("pro", 25), ("enterprise", 5))
_ACTIONS = (("find_order", 60), ("search_articles", 30), ("issue_refund", 8), ("fallback_to_human", 2))


class Corpus:
    """A source of conversations; number `n` is the same whatever was made before it."""

    def __init__(self, seed: int = SEED) -> None:
        """Make the vocabulary."""
        self._seed = seed
        rng = random.Random(seed)
        words = {"".join(rng.choices(_SYLLABLES, k=rng.choice((1, 1, 2, 2, 2, 3)))) for _ in range(300_000)}
        self._words = sorted(words)[:200_000]
        rng.shuffle(self._words)
        self._words.sort(key=lambda word: len(word) + rng.random() * 8)  # the frequent words are short ones
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(len(self._words))))

    @property
    def common_word(self) -> str:
        """A word of four letters or more that a large part of the conversations has."""
        return next(word for word in self._words[20:] if len(word) >= 4)

    def conversation(self, number: int) -> list[AnyEvent]:
        """Return the events of one conversation in order; ids are made of its number."""
        rng = random.Random(self._seed * 1_000_003 + number)
        at_us = FIRST_US + number * BETWEEN_US
        text_id = f"chat-{number:07d}"
        ids = (f"{number:016x}{place:016x}" for place in range(1_000))
        events: list[AnyEvent] = [self._start(rng, number, text_id, next(ids), at_us)]
        count = max(1, min(40, round(rng.lognormvariate(1.62, 0.6))))
        for place in range(count):
            at_us += rng.randrange(1_000_000, 60_000_000)
            sender = "agent" if place % 2 else "end_user"
            events.append(Message(next(ids), text_id, at_us, sender, self._text(rng)))
        for word, share in PLANTED.items():
            if number % share == 7:
                events.append(Message(next(ids), text_id, at_us + 1, "end_user", f"{self._text(rng)} {word}."))
        return [*events, *self._extras(rng, text_id, ids, at_us)]

    def conversations(self, start: int, stop: int) -> Iterator[list[AnyEvent]]:
        """Yield the conversations of these numbers."""
        return map(self.conversation, range(start, stop))

    def _start(self, rng: random.Random, number: int, text_id: str, event_id: str, at_us: int) -> AnyEvent:
        customer = RARE_CUSTOMER if number % 50_000 == 3 else f"customer-{rng.randrange(200_000)}"
        address = f"203.0.{rng.randrange(40)}.{rng.randrange(250)}"
        metadata = {"plan": _draw(rng, _PLANS), "address": {"city": f"city-{int(rng.paretovariate(0.7)) % 5000}"}}
        if number % 100_000 == 11:
            metadata["campaign"] = "spring"
        name = f"{rng.choice(self._words[:5000])} {rng.choice(self._words)}" if rng.random() < 0.3 else None
        return ConversationStarted(
            event_id, text_id, at_us, customer, address, _draw(rng, _DEVICES), _draw(rng, _SOURCES),
            _draw(rng, _LANGUAGES), name, _draw(rng, _ENVIRONMENTS), metadata,
        )  # fmt: skip

    def _text(self, rng: random.Random) -> str:
        wanted = max(8, min(2_000, rng.lognormvariate(4.99, 0.7)))
        words = rng.choices(self._words, cum_weights=self._weights, k=max(2, int(wanted / 5.1)))
        for place in range(rng.randrange(200), len(words), 200):
            words[place] = rng.choice(("#{}", "AB-{}", "{}@example.com")).format(rng.randrange(10**9))
        return " ".join(words).capitalize() + "."

    def _extras(self, rng: random.Random, text_id: str, ids: Iterator[str], at_us: int) -> Iterator[AnyEvent]:
        if rng.random() < 0.3:
            name, took_ms = _draw(rng, _ACTIONS), rng.random() * 800
            tools = {"function": name, "parameters": {"order_id": str(rng.randrange(10**6))}}
            error = "timed out" if rng.random() < 0.03 else None
            yield Action(next(ids), text_id, at_us + 2, name, at_us, None, took_ms, tools, {"status": "done"}, error)
        if rng.random() < 0.5:
            yield TokenUsage(next(ids), text_id, at_us + 3, rng.randrange(2_000), rng.randrange(400))
        if rng.random() < 0.1:
            sentiment = _draw(rng, (("positive", 60), ("neutral", 25), ("negative", 15)))
            yield Feedback(next(ids), text_id, at_us + 4, sentiment, "platform" if rng.random() < 0.02 else "customer")


def _draw(rng: random.Random, choices: tuple[tuple[str, int], ...]) -> str:
    return rng.choices([value for value, _ in choices], [weight for _, weight in choices])[0]
