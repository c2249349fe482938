"""A Celery task: what the worker does belongs to the conversation in which the task was sent.

The broker is a folder, so that nothing else is needed; the worker is a real one, with two processes.

Run:    python examples/celery_task.py
        (needs celery)
Prints: the conversation as `agentsight-auto show` tells it, the work of the worker in it.
Leaves: .agentsight/ and broker/ in the working directory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from celery import Celery

import agentsight_auto
from agentsight_auto import agentsight_api, conversation, current_conversation, track_action
from agentsight_auto.cli.main import main as command_line

agentsight_auto.instrument("celery")

broker = Path("broker").absolute()
app = Celery("celery_task", broker="filesystem://")
app.conf.update(
    task_ignore_result=True,
    broker_transport_options={
        "data_folder_in": str(broker),
        "data_folder_out": str(broker),
        "control_folder": str(broker),
        "polling_interval": 0.05,
    },
)


@track_action
def make_invoice(order: str) -> str:
    """Make an invoice."""
    return f"invoice-{order}.pdf"


@app.task
def send_invoice(order: str) -> None:
    """Do what takes too long for a chat, and tell the customer."""
    name = make_invoice(order)
    current_conversation().track_agent_message(f"I have sent you {name}.")


def worker() -> subprocess.Popen[bytes]:
    """Start a worker with two processes."""
    options = ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    command = [sys.executable, "-m", "celery", "--app", "celery_task", "--quiet", "worker", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    broker.mkdir(exist_ok=True)
    with conversation("order-1", customer_id="mia", source="web", device="desktop") as chat:
        chat.track_human_message("Please send me the invoice of A-17.")
        send_invoice.delay("A-17")
        chat.track_agent_message("It is on its way.")
    running = worker()
    deadline = time.monotonic() + 40
    while len(agentsight_api.fetch_conversation("order-1")["messages"]) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    running.wait(20)
    command_line(["show", "order-1"])
