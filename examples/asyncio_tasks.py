"""On asyncio nothing needs to be carried: `gather`, `create_task` and `to_thread` keep the current conversation.

Run:    python examples/asyncio_tasks.py
Prints: the actions of three conversations that ran interleaved in one event loop; each has its own four.
Leaves: the conversations "async-1" to "async-3" in .agentsight/ of the working directory. Running it again continues
        them.
"""

from __future__ import annotations

import asyncio

from agentsight_auto import agentsight_api, conversation, track_action


@track_action
async def fetch_weather(city: str) -> str:
    await asyncio.sleep(0.01)
    return f"sunny in {city}"


@track_action
def read_calendar(day: str) -> str:
    return f"free on {day}"


@track_action
async def remember(note: str) -> None:
    await asyncio.sleep(0)


async def handle(number: int) -> None:
    async with conversation(f"async-{number}", source="web") as chat:
        chat.track_human_message("Can I hike on Sunday?")
        noted = asyncio.create_task(remember(f"customer {number} likes hiking"))
        weather, more = await asyncio.gather(fetch_weather(f"valley {number}"), fetch_weather(f"summit {number}"))
        free = await asyncio.to_thread(read_calendar, f"Sunday {number}")
        await noted
        chat.track_agent_message(f"It is {weather}, {more}, and you are {free}.")


async def main() -> None:
    await asyncio.gather(*(handle(number) for number in (1, 2, 3)))


if __name__ == "__main__":
    asyncio.run(main())
    for number in (1, 2, 3):
        messages = agentsight_api.fetch_conversation(f"async-{number}")["messages"]
        calls = [log["tools_used"]["parameters"] for message in messages for log in message["action_logs"]]
        print(f"async-{number}", sorted(text for call in calls[-4:] for text in call.values()))
