"""Kill a process with SIGKILL right after a block, again and again, and count what another process finds.

Run: ``python benchmarks/kill_after_block.py [--rounds 100]``. Exits 1 if anything is lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter

CHILD = """
import os, signal, sys
from agentsight_auto import conversation, track_action

@track_action
def tool(number):
    return number

with conversation(f"chat-{sys.argv[1]}") as chat:
    chat.track_human_message(f"text {sys.argv[1]}")
    tool(int(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def main() -> int:
    """Run the rounds and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AGENTSIGHT_HOME": home}
        for number in range(rounds):
            subprocess.run([sys.executable, "-c", CHILD, str(number)], env=environment, check=False, timeout=60)
        os.environ["AGENTSIGHT_HOME"] = home
        from agentsight_auto import agentsight_api, shutdown  # noqa: PLC0415 - after the home is set

        found: Counter[str] = Counter()
        for chat in agentsight_api.iter_conversations():
            number = chat["conversation_id"].removeprefix("chat-")
            names = [message["action_name"] or message["content"] for message in chat["messages"]]
            found[number] += 1 if names == [f"text {number}", "tool"] else 100
        shutdown()
    lost = rounds - len(found)
    odd = sum(count != 1 for count in found.values())
    print(f"{rounds} processes killed right after a block: {lost} lost, {odd} doubled or incomplete")
    return 1 if lost or odd else 0


if __name__ == "__main__":
    raise SystemExit(main())
