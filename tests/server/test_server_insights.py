"""The numbers over HTTP: the same as the board's, each agent's own."""

from __future__ import annotations

from .support import Served


def test_the_numbers_are_served_to_each_agent_alone(served: Served) -> None:
    """Metrics, facets, volume, rows and actions of one key's conversations."""
    own, other = served.client("one"), served.client("two")
    own.open("a", source="web")
    own.say("a", "where is my order?")
    own.say("a", "here", sender="agent")
    other.say("b", "hello")
    metrics = own.get("/api/insights/metrics/").json()
    numbers = {metric["name"]: metric["value"] for metric in metrics["metrics"]}
    assert (numbers["conversations"], numbers["messages"], numbers["containment_rate"]) == (1, 2, 1)
    facets = {facet["name"]: facet["values"] for facet in own.get("/api/insights/facets/").json()["facets"]}
    assert [(row["value"], row["count"]) for row in facets["source"]] == [("web", 1)]
    rows = own.get("/api/insights/conversations/", insight="contained").json()["results"]
    assert [(row["conversation_id"], row["status"], row["last_words"]) for row in rows] == [("a", "open", "here")]
    volume = own.get("/api/insights/volume/", zone="Europe/Berlin").json()
    assert sum(bucket["conversations"] for bucket in volume["buckets"]) == 1
    assert own.get("/api/insights/actions/").json()["actions"] == []
    assert own.get("/api/insights/metrics/", insight="nonsense").status_code == 400
    assert own.get("/api/insights/volume/", zone="Nowhere").status_code == 400


def test_a_conversation_is_resolved_and_handed_over(served: Served) -> None:
    """By a key that may write, and only the agent's own."""
    own, other = served.client("one"), served.client("two")
    number = own.open("a")
    own.say("a", "help")
    path = f"/api/conversations/{number}/"
    told = own.post(f"{path}escalate/", {"reason": "asked for a human"})
    assert told.json() == {"id": number, "conversation_id": "a", "status": "escalated"}
    assert own.post(f"{path}resolve/", {}).json()["status"] == "resolved"
    assert own.get("/api/conversations/", status="resolved").json()["count"] == 1
    labels = [item["label"] for item in own.get(f"{path}timeline/").json()["items"]]
    assert labels == ["help", "fallback_to_human", "resolve_conversation"]
    assert own.post(f"{path}resolve/", {"reason": "x" * 5001}).status_code == 400
    assert other.post(f"{path}resolve/", {}).status_code == 404
    assert other.get(f"{path}timeline/").status_code == 404
