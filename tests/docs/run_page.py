"""Run the Python blocks of one page in order, in one namespace, and print what each prints.

``python run_page.py PAGE [FIRST LAST]`` writes one line of JSON to standard output: the line of each block and its
output. With two numbers only the blocks between these lines run. An error goes its way, with the page and its line in
the traceback.
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


def main(page: Path, first: int = 0, last: int = sys.maxsize) -> None:
    """Run the blocks of `page` that begin from line `first` to line `last`."""
    module = sys.modules["__main__"]
    linecache.cache[str(page)] = (0, None, page.read_text(encoding="utf-8").splitlines(keepends=True), str(page))
    outputs = {}
    for block in blocks(page):
        if not block.runs or not first <= block.line <= last:
            continue
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, module.__dict__)
        outputs[block.line] = printed.getvalue()
    print(json.dumps(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
