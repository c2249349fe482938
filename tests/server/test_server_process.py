"""``agentsight-auto serve`` and ``keys`` as they are run: real processes, real sockets, one database."""

from __future__ import annotations

import gc
import gzip
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn

from agentsight_auto.events import Message, encode_event
from agentsight_auto.server import run

from .support import ROOT, ServeProcess, until


def cli(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "agentsight_auto", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def refuses(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def test_the_first_start_shows_a_key_that_works(tmp_path: Path) -> None:
    """Once; SIGTERM ends the server with 0, and the next start shows no key and still knows the first."""
    db = tmp_path / "a.db"
    with ServeProcess(db) as server:
        assert server.told["agent"] == "default"
        with server.client() as client:
            body = {"content": "hello", "sender": "end_user", "conversation_id": "c"}
            assert client.post("/api/track/", json=body).status_code == 201
        key = server.key
        code, problems = server.stop()
        assert code == 0
        assert '"route":"/api/track/","status":201' in problems
        assert "hello" not in problems
    assert db.stat().st_mode & 0o777 == 0o600
    with ServeProcess(db) as again:
        assert again.key is None
        with again.client(key) as client:
            assert client.get("/api/conversations/").json()["count"] == 1


def test_the_two_lines_to_paste_are_shown(tmp_path: Path) -> None:
    """As text for people, when the store had no key."""
    command = [sys.executable, "-m", "agentsight_auto", "serve", "--port", "0", "--home", str(tmp_path / "home")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    while not (lines and "ENDPOINT" in lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read() if process.stderr else ""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert lines[-2].strip().startswith("export AGENTSIGHT_API_KEY=ags_")
    assert lines[-1].strip().startswith("export AGENTSIGHT_API_ENDPOINT=http://127.0.0.1:")


def test_an_embedded_store_is_adopted(tmp_path: Path) -> None:
    """What a program recorded without a server is what the first key sees."""
    home = tmp_path / "home"
    code = (
        "import agentsight_auto as a\n"
        "with a.conversation('chat-1') as chat:\n    chat.track_human_message('hi')\n"
        "assert a.agentsight_api.fetch_conversations()['count'] == 1\n"
    )
    env = {"PATH": "/usr/bin:/bin", "AGENTSIGHT_HOME": str(home)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, timeout=60)
    with ServeProcess(home / "agentsight.db") as server, server.client() as client:
        (row,) = client.get("/api/conversations/").json()["results"]
        assert (row["conversation_id"], row["messages"][0]["content"]) == ("chat-1", "hi")


def test_a_request_under_way_is_finished(tmp_path: Path) -> None:
    """SIGTERM while a body is on its way: the answer comes, and the process ends with 0."""
    with ServeProcess(tmp_path / "a.db") as server:
        body = json.dumps({"content": "late", "sender": "end_user", "conversation_id": "c"}).encode()
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = f"POST /api/track/ HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {server.key}\r\n"
            head += f"Content-Length: {len(body)}\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # the body is waited for
            connection.sendall(body[:5])
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refuses(host, int(port)))
            connection.sendall(body[5:])
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 201")
        server.process.communicate(timeout=20)
        assert server.process.returncode == 0


def test_a_server_that_has_just_started_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM right after it has told its address is not lost, and ends it with 0."""
    for number in range(3):
        with ServeProcess(tmp_path / f"{number}.db") as server:
            assert server.stop()[0] == 0


def test_two_servers_share_a_database(tmp_path: Path) -> None:
    """Four clients send to both, each batch twice: every event is stored once."""
    db = tmp_path / "a.db"
    with ServeProcess(db, "--quiet") as one, ServeProcess(db, "--quiet") as two:
        assert (one.key is None) != (two.key is None)
        key = one.key or two.key

        def send(worker: int) -> list[str]:
            statuses: list[str] = []
            with one.client(key) as first, two.client(key) as second:
                for batch in range(5):
                    start = worker * 1000 + batch * 20
                    lines = [
                        encode_event(Message(f"{number:032x}", f"c{number % 7}", number, "agent", str(number)))
                        for number in range(start + 1, start + 21)
                    ]
                    content = gzip.compress(b'{"events":[' + b",".join(lines) + b"]}")
                    for client in (first, second) if batch % 2 else (second, first):
                        answer = client.post("/api/events/", content=content, headers={"Content-Encoding": "gzip"})
                        statuses += [result["status"] for result in answer.json()["results"]]
            return statuses

        with ThreadPoolExecutor(4) as pool:
            statuses = [status for told in pool.map(send, range(4)) for status in told]
        assert (statuses.count("stored"), statuses.count("duplicate")) == (400, 400)
        for server in (one, two):
            with server.client(key) as client:
                rows = client.get("/api/conversations/").json()["results"]
                said = [message["content"] for row in rows for message in row["messages"]]
                assert sorted(said, key=int) == sorted(
                    (str(worker * 1000 + number) for worker in range(4) for number in range(1, 101)), key=int
                )
        assert one.stop()[0] == two.stop()[0] == 0


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """A revoked key is refused by a server that runs, within a second; agents do not see each other."""
    db = str(tmp_path / "a.db")
    code, out, _ = cli("keys", "create", "--agent", "shop", "--role", "read", "--db", db)
    key = out.strip()
    assert (code, len(key)) == (0, 43)
    with ServeProcess(Path(db)) as server, server.client(key) as client:
        assert server.key is None
        assert client.get("/api/conversations/").status_code == 200
        assert client.post("/api/track/", json={}).status_code == 403
        (listed,) = until(
            lambda: [k for k in json.loads(cli("keys", "list", "--db", db, "--json")[1])["keys"] if k["last_used_at"]]
        )
        assert (listed["agent"], listed["role"], listed["hint"]) == ("shop", "read", key[-6:])
        assert key not in cli("keys", "list", "--db", db)[1]
        assert cli("keys", "revoke", key[-6:], "--db", db)[0] == 0
        until(lambda: client.get("/api/conversations/").status_code == 401, within_s=1.5)
    assert json.loads(cli("keys", "list", "--db", db, "--json")[1])["keys"][0]["revoked_at"]
    assert cli("keys", "create", "--db", db, "--days", "30")[0] == 0
    assert json.loads(cli("keys", "list", "--db", db, "--json")[1])["keys"][-1]["expires_at"]
    assert cli("keys", "create", "--db", db, "--days", "0")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("keys", "list"), 1),
        (("keys", "revoke", "1"), 1),
        (("keys", "create", "--agent", " "), 2),
        (("keys", "create", "--role", "admin"), 2),
        (("keys",), 2),
        (("serve", "--port", "http"), 1),
        (("serve", "--host", "192.0.2.1"), 1),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """On stderr, without a traceback."""
    done = cli(*arguments, *([] if arguments == ("keys",) else ["--db", str(tmp_path / "a.db")]))
    assert done[0] == code
    assert done[2]
    assert "Traceback" not in done[2]


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, problems = cli("serve", "--port", port, "--db", str(tmp_path / "a.db"))
    assert code == 1
    assert f"127.0.0.1:{port}" in problems
    assert "--port" in problems


def test_a_wrong_content_length_harms_nobody(tmp_path: Path) -> None:
    """Too long, too short, negative or no number: the connection ends, the server goes on."""
    with ServeProcess(tmp_path / "a.db") as server:
        host, port = server.address.removeprefix("http://").split(":")
        for length in ("5000", "-1", "x", "1"):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                head = f"POST /api/track/ HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {server.key}\r\n"
                connection.sendall(f"{head}Content-Length: {length}\r\n\r\n{{}}".encode())
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            assert not answer or answer.startswith(b"HTTP/1.1 4"), (length, answer)
        assert httpx.get(f"{server.address}/healthz", trust_env=False).status_code == 200
        code, problems = server.stop()
        assert code == 0
        assert "Traceback" not in problems


def test_what_is_loaded_when_a_server_begins_is_not_looked_through_again() -> None:
    """Python's collector leaves out what lives as long as the process: a pause of tens of milliseconds now and then."""

    async def end() -> None:
        server.should_exit = True

    async def nothing(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    config = uvicorn.Config(nothing, lifespan="off", log_config=None, callback_notify=end, timeout_notify=0)
    server, before = run.Server(config), gc.get_freeze_count()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            run.serve(server, listener)
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()


def test_a_ctrl_c_before_the_server_has_begun_ends_it(tmp_path: Path) -> None:
    """Nothing is interrupted halfway, in a finalizer say, where the word would be lost: it is kept until the end."""
    code = """if True:
        import signal, sys
        from agentsight_auto.server import run
        from agentsight_auto.server.settings import load_server_settings
        signal.signal(signal.SIGINT, signal.default_int_handler)
        settings = load_server_settings({"db": sys.argv[1], "port": 0})
        listener = run.listen(settings)
        server = run.make_server(run.open_app(settings), settings, log_requests=False)
        signal.raise_signal(signal.SIGINT)
        try:
            run.serve(server, listener)
        except KeyboardInterrupt:
            print("interrupted at the end")
        """
    command = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "interrupted at the end\n"), done.stderr
