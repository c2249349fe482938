"""Run the Python blocks of one page in order, in one namespace, and print what each prints.

``python run_page.py PAGE`` writes one line of JSON to standard output: the line of each block and its output. An
error goes its way, with the page and its line in the traceback.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages import blocks


def main(page: Path) -> None:
    module = sys.modules["__main__"]
    linecache.cache[str(page)] = (0, None, page.read_text(encoding="utf-8").splitlines(keepends=True), str(page))
    outputs = {}
    for block in blocks(page):
        if not block.runs:
            continue
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, module.__dict__)  # noqa: S102 - the page is ours
        outputs[block.line] = printed.getvalue()
    print(json.dumps(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
