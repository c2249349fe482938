"""A Django view, in one file: the middleware takes the conversation's id from the path.

Run:    python examples/django_view.py
        (needs django)
Prints: what the view answered, and the conversation as `agentsight-auto show` tells it, with the failed call in it.
Leaves: .agentsight/ in the working directory.
"""

from __future__ import annotations

import logging

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from agentsight_auto import current_conversation, flush, track_action
from agentsight_auto.cli.main import main as command_line

settings.configure(
    SECRET_KEY="only of this example",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["agentsight_auto.integrations.django.ConversationMiddleware"],
    AGENTSIGHT={
        "id_from": "path:/tickets/{ticket}",
        "customer_from": "header:X-Customer-Id",
        "source": "help centre",
        "details": lambda request: {"name": "Order " + (request.query("order") or "?")},
    },
)
django.setup()
logging.getLogger("django.request").setLevel(logging.CRITICAL)  # the failure below is meant


@track_action
def find_order(number: str) -> str:
    """Look an order up."""
    if not number.startswith("A-"):
        raise LookupError(f"no order {number}")
    return "shipped"


def reply(request: HttpRequest, ticket: str) -> JsonResponse:
    """Answer one message of a ticket."""
    scope = current_conversation()
    scope.track_human_message(request.POST["text"])
    status = find_order(request.GET["order"])
    text = f"Your order is {status}."
    scope.track_agent_message(text)
    return JsonResponse({"ticket": ticket, "text": text})


urlpatterns = [path("tickets/<ticket>/replies", reply)]

if __name__ == "__main__":
    browser = Client(raise_request_exception=False, HTTP_USER_AGENT="Windows NT 10.0", HTTP_X_CUSTOMER_ID="mia")
    for order, text in (("A-17", "Where is my order?"), ("B-4", "And this one?")):
        response = browser.post(f"/tickets/t-1/replies?order={order}", {"text": text})
        print(response.status_code, response.json() if response.status_code == 200 else "")
    flush()
    command_line(["show", "t-1"])
