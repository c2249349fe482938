"""Two servers on one database file, four clients, and a ``kill -9``: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.server.support import ServeProcess, until

from .record_until_told import MESSAGES
from .support import HERE, Tenant, clean_environment

CLIENTS = ("ann", "ben", "cleo", "dan")
"""The first two deliver to the first server, the others to the second."""


def rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchall()


def stored_for(db: Path, *names: str) -> int:
    """Return how many messages of these clients are stored."""
    told = " or ".join(f"content like '{name} %'" for name in names)
    return int(rows(db, f"select count(*) from messages where {told}")[0][0])


def start_client(name: str, address: str, key: str, folder: Path) -> subprocess.Popen[str]:
    environment = clean_environment(
        AGENTSIGHT_API_KEY=key, AGENTSIGHT_API_ENDPOINT=address, AGENTSIGHT_HOME=str(folder / name)
    )
    command = [sys.executable, str(HERE / "record_until_told.py"), name, str(folder / "stop")]
    return subprocess.Popen(
        command, cwd=HERE.parent.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(client: subprocess.Popen[str]) -> dict[str, Any]:
    told, problems = client.communicate(timeout=40)
    assert client.returncode == 0, problems
    return json.loads(told)


def end(client: subprocess.Popen[str]) -> None:
    """Kill a client that still runs, and show what it complained of."""
    if client.poll() is None:
        client.kill()
        print(client.communicate(timeout=10))


def test_two_servers_on_one_file_survive_a_kill_under_load(tmp_path: Path) -> None:
    """The first server is killed while four processes deliver, and started again: each event is stored once."""
    db, quiet = tmp_path / "agentsight.db", "--quiet"
    with ExitStack() as stack:
        first = stack.enter_context(ServeProcess(db, quiet))
        second = stack.enter_context(ServeProcess(db, quiet))
        key = Tenant(second, "shop").key()
        addresses = (first.address, first.address, second.address, second.address)
        clients = []
        for name, address in zip(CLIENTS, addresses, strict=True):
            clients.append(start_client(name, address, key, tmp_path))
            stack.callback(end, clients[-1])

        until(lambda: all(stored_for(db, name) >= 50 for name in CLIENTS), 15)
        assert first.stop(signal.SIGKILL)[0] == -signal.SIGKILL
        at_kill, others = stored_for(db, *CLIENTS[:2]), stored_for(db, *CLIENTS[2:])
        until(lambda: stored_for(db, *CLIENTS[2:]) >= others + 200, 15)
        assert stored_for(db, *CLIENTS[:2]) == at_kill
        stack.enter_context(ServeProcess(db, quiet, "--port", first.address.rpartition(":")[2]))
        until(lambda: stored_for(db, *CLIENTS[:2]) >= at_kill + 200, 15)
        (tmp_path / "stop").touch()
        reports = [finish(client) for client in clients]

    for report in reports:
        assert report["captured"] == report["delivered"] > 0, report
        assert (report["pending"], report["rejected"], report["lost"]) == (0, {}, {})
    expected = Counter(
        f"{name} {number} {turn}"
        for name, report in zip(CLIENTS, reports, strict=True)
        for number in range(report["conversations"])
        for turn in range(MESSAGES)
    )
    said = rows(db, "select content, event_id from messages where action_name is null")
    assert Counter(content for content, _ in said) == expected
    assert len({event_id for _, event_id in said}) == len(said)
    conversations = sum(report["conversations"] for report in reports)
    actions = rows(db, "select count(*), count(distinct event_id) from messages where action_name is not null")
    assert actions == [(conversations, conversations)]
    assert rows(db, "select count(*) from conversations") == [(conversations,)]
    digests = [digest for (digest,) in rows(db, "select sha256 from attachments")]
    assert len(digests) == sum(-(-report["conversations"] // 10) for report in reports)
    assert set(digests) <= {file.name for file in tmp_path.rglob("attachments/agent-*/**/*")}
    assert rows(db, "pragma integrity_check") == [("ok",)]
