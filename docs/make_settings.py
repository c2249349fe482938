"""Print docs/settings.md from the settings themselves: ``python docs/make_settings.py > docs/settings.md``."""

from __future__ import annotations

import contextlib
import sys

from agentsight_auto._setting_values import SETTINGS, Setting
from agentsight_auto._settings import HOSTED_ENDPOINT, Settings
from agentsight_auto.exceptions import InvalidConversationDataException

HEAD = f"""\
# Settings

<!-- Printed by docs/make_settings.py: change that file or agentsight_auto/_settings.py, not this page. -->

No setting is needed. Each can be given in four ways; the first one that is there wins:

1. an argument: `agentsight_auto.configure(home="/var/lib/chat")`, or `ConversationTracker(home=...)` for one client;
2. an environment variable;
3. the nearest `.env` file, from the working directory upwards. It is read, and never written into the environment;
4. the default.

Settings are read at the first use, not at import. `configure` changes them later for everything that follows: an
argument that cannot be used raises `ConfigurationException`, `InvalidApiKeyException` or
`InvalidConversationDataException`, and nothing is changed. A variable that cannot be used is logged and replaced by its
default: the program it runs in goes on. With `AGENTSIGHT_REDACT` and `AGENTSIGHT_PROCESSORS` that would let through
what they should hold back: until they can be used, every text is recorded as a marker.

Where events go: with neither key nor endpoint, the embedded store in the home folder. A key without an endpoint means
`{HOSTED_ENDPOINT}`, an endpoint without a key is an error at the first call that needs it: see
[Delivery over HTTP](http-delivery.md).
One line at level INFO of the logger `agentsight_auto` says which it is, and `agentsight-auto doctor` does.

| setting | environment variable | default | accepted | meaning |
|---|---|---|---|---|
"""

TAIL = """
Numbers ending in `_bytes` are bytes, in `_ms` milliseconds, in `_s` seconds. Yes and no are written `1`, `true`, `yes`,
`on` and `0`, `false`, `no`, `off`. Lists of names are separated by commas.

`AGENTSIGHT_HOME` becomes an absolute path when it is read. With the default, a program started in another folder has
another store. `AGENTSIGHT_GEOIP_DB` needs `pip install "agentsight-auto[geoip]"`.
"""

UNREADABLE = -(10**30)
"""A value that no number, choice or address accepts: what is accepted is in the error's text."""

DEFAULTS_IN_WORDS = {"home": "`.agentsight` in the working directory"}


def default_of(setting: Setting) -> str:
    """Return the default as a reader would write it."""
    if setting.name in DEFAULTS_IN_WORDS:
        return DEFAULTS_IN_WORDS[setting.name]
    value = getattr(Settings(), setting.name)
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{name}`" for name in value) or "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def accepted_by(setting: Setting) -> str:
    """Return what the setting's reader says that it expects; nothing where it takes any text."""
    with contextlib.suppress(TypeError, InvalidConversationDataException):
        try:
            setting.read(UNREADABLE)
        except ValueError as error:
            _, found, expected = str(error).partition("expected ")
            return expected if found else ""
    return ""


def page() -> str:
    """Return the whole page."""
    rows = []
    for setting in SETTINGS:
        cells = (f"`{setting.name}`", f"`{setting.variable}`", default_of(setting), accepted_by(setting), setting.doc)
        rows.append(f"| {' | '.join(cells)} |\n")
    return (
        HEAD
        + "".join(rows)
        .replace("see Delivery", "see [Delivery](delivery.md#durability)")
        .replace("see Web", "see [Web](web.md#across-services)")
        + TAIL
    )


if __name__ == "__main__":
    sys.stdout.write(page())
