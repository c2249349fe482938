"""One call to a model: an action with its duration, reply and retries, and its token usage, told once.

In: what an extractor read from an SDK's request and reply. Out: `Action`, `TokenUsage` and, where asked, `Message`
events. Loses: nothing. A call that is made inside another one (a framework that calls an SDK) is silent: it tells the
outer one what that does not know.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from .. import _runtime, events
from .._guard import guarded
from .._ids import derived_id
from ..capture import arguments
from ..capture.current import frame_for_recording, live_frame
from ..capture.frames import Frame
from ..snapshot import bounded_text, describe_error, snapshot
from . import cost, options, registry
from .replies import Reply, Request, newest

KIND = "model_call"
_REMEMBERED = 4096

_told_usages: OrderedDict[str, None] = OrderedDict()
_told_prompts: OrderedDict[tuple[str, str, int, str], None] = OrderedDict()


class ModelCall(Frame, kw_only=True, weakref=True):
    """A running call. Begin it, then end it once: with a reply, an error, or as closed early."""

    integration: str
    request: Request
    retries: int = 0
    is_finished: bool = False
    at_us: int = 0
    inside: ModelCall | None = None
    inner: list[Reply] = []
    started_ns: int = 0
    first_ns: int = 0

    @guarded
    def begin(self) -> None:
        """Take the time and become current; what the customer said comes before."""
        self._record_prompt()
        runtime = self.conversation.runtime
        self.started_ns = runtime.clock.monotonic_ns()
        self.at_us = (self.started_ns + runtime.clock.offset_ns) // 1000
        self.action_id = (
            self.outer.id_of_action() if self.inside is not None and self.outer else runtime.ids.next(self.at_us)
        )
        self.enter()

    @guarded
    def suspend(self) -> None:
        """Win back what was current before; the call goes on as a stream."""
        self.leave()

    @contextlib.contextmanager
    def resumed(self) -> Iterator[None]:
        """Be current for one resumption of a stream; never hold it across a ``yield`` to the consumer."""
        current = self.conversation.runtime.current
        before = current.get()
        current.set(self)
        try:
            yield
        finally:
            current.set(before)

    def first_token(self) -> None:
        """Note when the first content arrived."""
        if not self.first_ns:
            self.first_ns = self.conversation.runtime.clock.monotonic_ns()
            if self.inside is not None:
                self.inside.first_token()

    @guarded
    def finish(
        self, reply: Reply | None = None, error: BaseException | None = None, *, is_closed_early: bool = False
    ) -> None:
        """End the call and record it; only the first end counts."""
        ended_ns = self.conversation.runtime.clock.monotonic_ns()
        self.leave()
        if self.is_finished:
            return
        self.is_finished = True
        reply = (self._completed(reply or Reply())).with_plain_texts()
        if self.inside is not None:
            self.inside.inner.append(reply)
            self.inside.retries += self.retries
            return
        cost_usd = self._record_usage(reply)
        if self.integration not in options.records_tokens_alone:
            self._record_action(reply, error, ended_ns, cost_usd, is_closed_early=is_closed_early)
            self._record_reply(reply)

    def fail(self, error: BaseException) -> None:
        """End the call with an exception."""
        self.finish(None, error)

    def finish_with(self, read: Callable[[Any], Reply], result: Any) -> None:
        """End the call with what `read` makes of an SDK's result; one that it cannot read ends it all the same."""
        self.finish(guarded(read)(result))

    def _completed(self, reply: Reply) -> Reply:
        """Add what the calls inside this one know and it does not."""
        for inner in self.inner:
            known = {name: value for name, value in inner._asdict().items() if value}
            reply = Reply(**{**known, **{name: value for name, value in reply._asdict().items() if value}})
        usages = [inner.usage for inner in self.inner if inner.usage is not None]
        if len(usages) > 1:
            total = usages[0]
            for usage in usages[1:]:
                total = total.plus(usage)
            reply = reply._replace(usage=total)
        return reply

    def _record_usage(self, reply: Reply) -> float | None:
        usage = reply.usage
        if usage is None:
            return None
        scope = self.conversation
        model = reply.model or self.request.model
        prices = cost.load(scope.runtime.settings.prices)
        cost_usd = cost.cost_usd(model, usage, prices)
        if cost_usd is None and reply.model is not None:
            cost_usd = cost.cost_usd(self.request.model, usage, prices)
        event_id, conversation_id, at_us = scope.stamp()
        if reply.response_id is not None:
            event_id = _usage_id(conversation_id, reply.response_id)
            if _is_known(_told_usages, event_id):
                return cost_usd
        details = {
            "model": model,
            "provider": self.request.provider,
            "response_id": reply.response_id,
            "cost_usd": cost_usd,
            "cache_read_tokens": usage.cache_read or None,
            "cache_write_tokens": usage.cache_write or None,
            "reasoning_tokens": usage.reasoning or None,
        }
        metadata = {name: value for name, value in details.items() if value is not None}
        total = usage.prompt + usage.completion + usage.embedding
        counters = (usage.prompt, usage.completion, total, usage.embedding)
        scope.record(events.TokenUsage(event_id, conversation_id, at_us, *counters, metadata))
        return cost_usd

    def _record_action(
        self, reply: Reply, error: BaseException | None, ended_ns: int, cost_usd: float | None, *, is_closed_early: bool
    ) -> None:
        scope, request, outer = self.conversation, self.request, self.outer
        settings = scope.runtime.settings
        duration_ns = ended_ns - self.started_ns
        usage = reply.usage
        facts = {
            "kind": KIND,
            "provider": request.provider,
            "model": request.model,
            "response_model": reply.model if reply.model != request.model else None,
            "response_id": reply.response_id,
            "finish_reason": reply.finish_reason,
            "time_to_first_token_ms": (self.first_ns - self.started_ns) / 1e6 if self.first_ns else None,
            "retries": self.retries or None,
            "prompt_tokens": None if usage is None else usage.prompt or usage.embedding,
            "completion_tokens": None if usage is None else usage.completion,
            "cost_usd": cost_usd,
            "is_closed_early": is_closed_early or None,
        }
        used: dict[str, Any] = {"function": request.function}
        if settings.capture_args and request.parameters:
            used["parameters"] = snapshot(dict(request.parameters), settings.max_value_bytes)
        response: dict[str, Any] = {}
        if reply.finish_reason is not None:
            response["finish_reason"] = reply.finish_reason
        if reply.tool_calls:
            keeps = settings.capture_response
            asked = [call._asdict() if keeps else {"name": call.name} for call in reply.tool_calls]
            response["tool_calls"] = asked
        same = outer is not None and outer.conversation.conversation_id == scope.conversation_id
        scope.record(
            events.Action(
                self.action_id or "",
                scope.conversation_id,
                self.at_us,
                f"{request.operation} {request.model}",
                self.at_us,
                self.at_us + duration_ns // 1000,
                duration_ns / 1e6,
                used,
                snapshot(response, settings.max_value_bytes) if response else None,
                None if error is None else describe_error(error),
                arguments.kept_metadata({name: value for name, value in facts.items() if value is not None}, settings),
                outer.id_of_action() if same and outer is not None else None,
            )
        )

    def _captures_messages(self) -> bool:
        return (
            self.inside is None
            and self.integration not in options.records_tokens_alone
            and self.request.operation == "chat"
            and options.captures_messages(self.conversation.runtime)
        )

    def _record_prompt(self) -> None:
        """Record what the customer has said since the last call, once."""
        if not self._captures_messages():
            return
        scope = self.conversation
        count, texts = newest(self.request.prompt())
        for index, text in enumerate(texts):
            key = (scope.conversation_id, self.request.thread, count - len(texts) + index, text[:1024])
            if not _is_known(_told_prompts, key):
                self._record_message("end_user", text)

    def _record_reply(self, reply: Reply) -> None:
        if reply.text.strip() and self._captures_messages():
            self._record_message("agent", reply.text)

    def _record_message(self, sender: str, text: str) -> None:
        scope = self.conversation
        kept = bounded_text(text, scope.runtime.settings.max_text_bytes)
        scope.record(events.Message(*scope.stamp(), sender, kept))


@guarded
def start_call(integration: str, read: Callable[[], Request | None], *, begins: bool = True) -> ModelCall | None:
    """Return a call that has begun; None outside a conversation and where nothing is recorded.

    `read` is called only where something is recorded; None from it leaves the call alone. Without `begins` the caller
    begins it later: a generator belongs to where it was made, and starts when it is first asked.
    """
    runtime = _runtime.default()
    frame = live_frame(runtime)
    if frame is None:
        if not options.opens_conversations():
            return None
        frame = frame_for_recording(runtime, hold=False)
    if not frame.conversation.is_recording:
        return None
    if registry.default.reporter.is_due:
        registry.default.reporter.write()
    request = read()
    if request is None:
        return None
    inside = frame if isinstance(frame, ModelCall) and not frame.is_finished else None
    call = ModelCall(frame.conversation, None, frame, integration=integration, request=request, inside=inside)
    if begins:
        call.begin()
    return call


def current_call() -> ModelCall | None:
    """Return the call that is running here."""
    frame = _runtime.default().current.get()
    return frame if isinstance(frame, ModelCall) else None


def _usage_id(conversation_id: str, response_id: str) -> str:
    return derived_id(0, "usage of a response", conversation_id, response_id)


def _is_known(known: OrderedDict[Any, None], key: Any) -> bool:
    if key in known:
        return True
    known[key] = None
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
    return False
