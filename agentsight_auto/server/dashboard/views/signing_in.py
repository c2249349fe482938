"""Sign in with an API key, sign out, and choose how pages look."""

from __future__ import annotations

import zlib

from starlette.responses import Response

from agentsight_auto.server.dashboard.languages import catalogs, read_zone
from agentsight_auto.server.dashboard.pages import Page, set_cookie
from agentsight_auto.server.dashboard.people import AGENT_COOKIE, cookie_name
from agentsight_auto.server.dashboard.rendering import page, redirect
from agentsight_auto.server.dashboard.visits import THEMES, Visit, safe_return
from agentsight_auto.store import sessions

_YEAR_S = 31_536_000
_LONGEST_KEY = 200


def ask(visit: Visit) -> Response:
    """Show the form."""
    if visit.known_agent is not None:
        return redirect(safe_return(visit.query.get("next", "/")))
    return page(visit, "sign_in.html", target=visit.query.get("next", ""), problem=None)


def sign_in(visit: Visit) -> Response:
    """Begin a session: always a new one, whatever cookie the browser has sent."""
    service, target = visit.service, visit.field("next")
    if service.sign_in_throttle.wait_s(zlib.crc32(visit.client_host.encode())):
        return page(visit, "sign_in.html", status=429, target=target, problem="sign_in_often")
    agent = service.keys.recognise(visit.field("key").strip()[:_LONGEST_KEY])
    if agent is None:
        return page(visit, "sign_in.html", status=403, target=target, problem="sign_in_failed")
    sessions.end_session(service.database, visit.cookies.get(cookie_name(visit), ""))
    begun = sessions.begin_session(service.database, agent, service.session_limits, at_us=service.clock.now_us())
    response = redirect(safe_return(target))
    set_cookie(response, cookie_name(visit), begun, visit, max_age_s=None, hidden=True)
    return response


def sign_out(visit: Visit) -> Response:
    """End the session, here and in the store."""
    sessions.end_session(visit.service.database, visit.cookies.get(cookie_name(visit), ""))
    response = redirect("/sign-in/")
    set_cookie(response, cookie_name(visit), "", visit, max_age_s=0, hidden=True)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def choose(visit: Visit) -> Response:
    """Keep language, theme, time zone, and whose conversations the owner looks at, in cookies."""
    response = redirect(safe_return(visit.field("next")))
    language, theme, zone = visit.field("language"), visit.field("theme"), visit.field("zone")
    if language in catalogs():
        set_cookie(response, "agentsight_language", language, visit, max_age_s=_YEAR_S, hidden=True)
    if theme in THEMES:
        set_cookie(response, "agentsight_theme", theme, visit, max_age_s=_YEAR_S, hidden=True)
    if zone and getattr(read_zone(zone), "key", "UTC") == zone:
        set_cookie(response, "agentsight_zone", zone, visit, max_age_s=_YEAR_S, hidden=False)
    agent = visit.field("agent")
    if any(str(known.id) == agent for known in visit.agents):
        set_cookie(response, AGENT_COOKIE, agent, visit, max_age_s=_YEAR_S, hidden=True)
    return response


PAGES = (
    Page("GET", "/sign-in/", ask, role=None),
    Page("POST", "/sign-in/", sign_in, role=None),
    Page("POST", "/sign-out/", sign_out, role=None),
    Page("POST", "/preferences/", choose, role=None),
)
