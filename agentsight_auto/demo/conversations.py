"""The conversations themselves: `conversation()` blocks on threads and on an event loop, at the same time.

In: cases and the shop. Out: recorded conversations, and a desk each with the log of what was done.
Loses: nothing; an error in the agent ends the demo.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from .. import conversation, conversation_manager
from ..capture.scope import ConversationScope
from . import documents
from .agent import Agent, Answer
from .desk import Desk, current_desk
from .scenarios import Case, Turn
from .shop import Shop

THREADS = 4
TASKS = 16
_CHARACTERS_PER_TOKEN = 4
_INSTRUCTIONS_TOKENS = 180


def hold_all(cases: Sequence[Case], shop: Shop, on_done: Callable[[], object]) -> list[Desk]:
    """Hold every other conversation on threads and the rest on asyncio, then let the customers judge them.

    `on_done` is called once for each conversation, on the thread that held it.
    """
    on_threads, on_tasks = cases[::2], cases[1::2]
    with ThreadPoolExecutor(THREADS + 1, thread_name_prefix="demo") as executor:
        loop = executor.submit(asyncio.run, _hold_on_tasks(on_tasks, shop, on_done))
        served = list(executor.map(lambda case: _hold(case, shop, on_done), on_threads))
        desks = served + loop.result()
    for case in cases:
        if case.feedback is not None:
            sentiment, comment = case.feedback
            conversation_manager.submit_feedback(case.known["conversation_id"], sentiment, comment)
    return sorted(desks, key=lambda desk: desk.conversation_id)


def _hold(case: Case, shop: Shop, on_done: Callable[[], object]) -> Desk:
    """Hold one conversation on this thread."""
    desk = Desk(case.known["conversation_id"], shop)
    at_this_desk = current_desk.set(desk)
    agent = Agent(case.purchase.customer_id, case.known["language"])
    with conversation(**case.known) as chat:
        for turn in case.turns:
            _listen(chat, desk, turn)
            _reply(chat, desk, turn, agent.confirm(turn.text) if turn.sku else agent.answer(turn.text))
    current_desk.reset(at_this_desk)
    on_done()
    return desk


async def _hold_on_tasks(cases: Iterable[Case], shop: Shop, on_done: Callable[[], object]) -> list[Desk]:
    room = asyncio.Semaphore(TASKS)

    async def hold(case: Case) -> Desk:
        async with room:
            return await _hold_async(case, shop, on_done)

    return await asyncio.gather(*(hold(case) for case in cases))


async def _hold_async(case: Case, shop: Shop, on_done: Callable[[], object]) -> Desk:
    """Hold one conversation in this task."""
    desk = Desk(case.known["conversation_id"], shop)
    current_desk.set(desk)
    agent = Agent(case.purchase.customer_id, case.known["language"])
    async with conversation(**case.known) as chat:
        for turn in case.turns:
            _listen(chat, desk, turn)
            _reply(chat, desk, turn, agent.confirm(turn.text) if turn.sku else await agent.answer_async(turn.text))
    on_done()
    return desk


def _listen(chat: ConversationScope, desk: Desk, turn: Turn) -> None:
    """Record what the customer does."""
    if turn.sku is not None:
        desk.note("button", turn.text)
        chat.track_button("choose_product", turn.text, turn.sku)
        return
    desk.note("end_user", turn.text)
    chat.track_human_message(turn.text)
    if turn.has_photo:
        desk.note("attachment", "photo.png")
        photo = base64.b64encode(documents.photo((200, 60, 40))).decode()
        chat.track_attachments([{"filename": "photo.png", "mime_type": "image/png", "data": photo}])


def _reply(chat: ConversationScope, desk: Desk, turn: Turn, answer: Answer) -> None:
    """Record what the agent says, and the tokens that a model would have taken for it."""
    desk.note("agent", answer.text)
    if answer.document is None:
        chat.track_agent_message(answer.text)
    else:
        desk.note("attachment", answer.document["filename"])
        chat.track_agent_message(answer.text, [answer.document], "form_data")
    prompt = _INSTRUCTIONS_TOKENS + len(turn.text) // _CHARACTERS_PER_TOKEN
    completion = len(answer.text) // _CHARACTERS_PER_TOKEN + 1
    desk.total_tokens += prompt + completion
    chat.track_token_usage(prompt, completion)
