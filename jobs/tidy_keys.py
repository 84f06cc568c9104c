#!/usr/bin/env python3
"""Prints "KEY SOURCE" for every source of the programs in a compile_commands.json (tests are left out for time).

KEY is a hash of all that clang-tidy's verdict depends on and that changes here: .clang-tidy, the compile commands, the
source, and the headers of ours that it reaches. A source that passed once under a key passes again.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
LINTED = [ROOT / folder for folder in ("src", "checkpoints_tools")]
FOLDERS = [ROOT / folder for folder in ("include", "src", "checkpoints_tools", "tests")]


def reached(source):
    """`source` and the files of ours that it includes, however indirectly."""
    found, open_files = set(), [source]
    while open_files:
        file = open_files.pop()
        if file in found:
            continue
        found.add(file)
        for name in INCLUDE.findall(file.read_text()):
            open_files += [folder / name for folder in [file.parent, *FOLDERS] if (folder / name).is_file()]
    return sorted(found)


def main():
    build = Path(sys.argv[1])
    commands = {}  # of each source: what is compiled for two libraries has two, and clang-tidy reads it as both
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = Path(entry["file"]).resolve()
        ours = any(folder in source.parents for folder in LINTED) and build.resolve() not in source.parents
        if ours and source.suffix == ".cpp":
            commands[source] = commands.get(source, "") + entry["command"]
    for source, command in commands.items():
        key = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + command.encode())
        for file in reached(source):
            key.update(str(file).encode() + file.read_bytes())
        print(key.hexdigest(), source)
    return 0 if commands else 1


if __name__ == "__main__":
    sys.exit(main())
