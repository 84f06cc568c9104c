#!/usr/bin/env python3
"""Refuses what crosses the architecture: an include of an undeclared module or library, a cycle, an umbrella header,
a conditional where backends are files, a file beyond its budget.

src/CMakeLists.txt says which modules and libraries a module may include; the tables below say where.
Exit status: 0 clean, 1 violations (one "file:line: text" each on stdout).
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

# --- The rules, as data ----------------------------------------------------------------------------------------------

HEADER_LINES = 200
SOURCE_LINES = 400
HEADER_SUFFIXES = {".hpp", ".cuh"}
SOURCE_SUFFIXES = {".cpp", ".cu"}


@dataclass(frozen=True)
class Library:
    """Headers of a foreign library: which modules may see them, and in which of their files."""

    name: str
    pattern: str  # of the path between < and >
    targets: frozenset  # any of these in FOREIGN declares it; empty: everybody has it
    modules: frozenset | None  # None: any that declares it
    place: str  # "any"; "src": not in public headers; "cpp": in sources alone


def library(name, pattern, targets, modules, place):
    return Library(name, pattern, frozenset(targets.split()), frozenset(modules.split()) if modules else None, place)


LIBRARIES = [
    library("fmt", r"fmt/", "", None, "any"),
    library("Boost", r"boost/", "Boost::program_options", "config checkpoints_tools", "any"),
    library("nlohmann/json", r"nlohmann/", "nlohmann_json::nlohmann_json",
            "config io report checkpoint train checkpoints_tools", "cpp"),
    library("MPI", r"mpi\.h$", "MPI::MPI_C tessera_hdf5", "topology comm checkpoint", "src"),
    library("hwloc", r"hwloc", "tessera_hwloc", "topology", "src"),
    library("NCCL", r"nccl", "tessera_nccl", "comm", "src"),
    library("CUDA", r"(cuda|cublas|cub/|cooperative_groups|mma\.h|math_constants|nvtx|nvml)",
            "CUDA::cudart tessera_nccl tessera_torch", "topology comm kernels data engine train", "src"),
    library("LibTorch", r"(ATen|c10|torch)/", "tessera_torch", "kernels data model engine train", "any"),
    library("HDF5", r"hdf5", "tessera_hdf5", "checkpoint", "src"),
    library("ISA-L", r"isa-l", "tessera_isal", "io checkpoint", "src"),
    library("zlib", r"zlib\.h$", "ZLIB::ZLIB", "data", "src"),
    library("libjpeg", r"(jpeglib|jerror)\.h$", "JPEG::JPEG", "data", "src"),
    library("libpng", r"png\.h$", "PNG::PNG", "data", "src"),
]

# The operating system's and the compiler's own headers.
SYSTEM = re.compile(
    r"(unistd|fcntl|dlfcn|signal|sched|pthread|poll|errno|setjmp|limits|time|immintrin|cpuid|numa|numaif|"
    r"(sys|linux|netinet|arpa)/\w+)(\.h)?$")

# Programs are no modules: what they may include.
TOOL_MODULES = {"core", "config", "io", "state", "checkpoint", "topology", "model"}

# Of some modules only one header may be seen.
ONLY_HEADERS = {
    ("checkpoint", "topology"): {"group.hpp", "shared_files.hpp"},
    ("checkpoints_tools", "topology"): {"group.hpp"},
    ("checkpoints_tools", "config"): {"model_shape.hpp", "run_config.hpp"},
    ("checkpoints_tools", "model"): {"param_table.hpp"},
}

# Here backends are files that CMake chooses, never conditionals.
UNCONDITIONAL = {"config", "state", "data", "model", "engine", "checkpoint", "report", "train", "checkpoints_tools", "main"}

# Foreign umbrella headers cost every includer seconds; in sources they come precompiled.
UMBRELLAS = re.compile(r"(ATen/ATen\.h|torch/(torch|all|extension)\.h|c10/c10\.h)$")

# --- Reading the tree ------------------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"(?P<own>[^"]+)"|<(?P<foreign>[^>]+)>)')
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b")


@dataclass
class Module:
    depends: list
    foreign: set
    line: int


def strip_comments(text):
    """Without comments, with every line where it was."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group()) if match.group().startswith("/") else match.group()
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def read_modules(cmake_file):
    """The modules that src/CMakeLists.txt declares: tessera_module(...), and header-only ones as INTERFACE libraries."""
    text = re.sub(r"#[^\n]*", "", cmake_file.read_text())
    modules = {}
    for match in re.finditer(r"tessera_module\(\s*(\w+)([^)]*)\)", text):
        sections, key = {}, None
        for word in match.group(2).split():
            if word in {"SOURCES", "CUDA_SOURCES", "NO_CUDA_SOURCES", "DEPENDS", "FOREIGN"}:
                key = word
            else:
                sections.setdefault(key, []).append(re.sub(r"\$<TARGET_NAME_IF_EXISTS:([^>]+)>", r"\1", word))
        line = text.count("\n", 0, match.start()) + 1
        modules[match.group(1)] = Module(sections.get("DEPENDS", []), set(sections.get("FOREIGN", [])), line)
    for match in re.finditer(r"add_library\(\s*tessera_(\w+)\s+INTERFACE\s*\)", text):
        links = re.search(rf"target_link_libraries\(\s*tessera_{match.group(1)}\s+INTERFACE([^)]*)\)", text)
        depends = re.findall(r"tessera::(\w+)", links.group(1)) if links else []
        modules[match.group(1)] = Module(depends, set(), text.count("\n", 0, match.start()) + 1)
    return modules


def our_files(root):
    for folder in ("include", "src", "checkpoints_tools", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in HEADER_SUFFIXES | SOURCE_SUFFIXES and path.is_file():
                yield path


def owner(path):
    """The module that a file of ours belongs to; None for tests."""
    parts = path.parts
    if parts[0] == "include":
        return parts[2] if len(parts) > 3 else None
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else "main"
    return "checkpoints_tools" if parts[0] == "checkpoints_tools" else None


# --- The checks ------------------------------------------------------------------------------------------------------


class Checker:
    def __init__(self, root):
        self.root = root
        self.modules = read_modules(root / "src" / "CMakeLists.txt")
        self.violations = []
        self.undeclared = set()

    def run(self):
        self.check_cycles()
        for path in our_files(self.root):
            self.check_file(path.relative_to(self.root))
        return self.violations

    def refuse(self, path, line, text):
        self.violations.append(f"{path}:{line}: {text}")

    def check_cycles(self):
        finished, open_path = set(), []

        def visit(name):
            if name in open_path:
                cycle = " -> ".join([*open_path[open_path.index(name):], name])
                self.refuse("src/CMakeLists.txt", self.modules[name].line, f"modules depend in a circle: {cycle}")
            elif name not in finished and name in self.modules:
                open_path.append(name)
                for other in self.modules[name].depends:
                    if other not in self.modules:
                        self.refuse("src/CMakeLists.txt", self.modules[name].line,
                                    f"{name} depends on {other}, which is no module")
                    visit(other)
                open_path.pop()
                finished.add(name)

        for name in self.modules:
            visit(name)

    def check_file(self, path):
        text = (self.root / path).read_text()
        lines = strip_comments(text).split("\n")
        num_lines = text.count("\n")
        is_header = path.suffix in HEADER_SUFFIXES
        budget = HEADER_LINES if is_header else SOURCE_LINES
        if num_lines > budget:
            self.refuse(path, num_lines, f"{num_lines} lines, {budget} are the budget of a "
                                         f"{'header' if is_header else 'source'}: it holds more than one concept")
        if path.parts[0] == "include" and len(path.parts) < 4:
            self.refuse(path, 1, "a public header lies in include/tessera/<module>/; one above the modules would be an "
                                 "umbrella")
        if is_header:
            self.check_umbrella(path, lines)
        name = owner(path)
        if name is None:
            return
        if name not in {*self.modules, "main", "checkpoints_tools"}:
            self.undeclared.add(name)  # not built, and nobody may include it: nothing to hold it to yet
            return
        for number, line in enumerate(lines, 1):
            if name in UNCONDITIONAL and CONDITIONAL.match(line):
                self.refuse(path, number, f"a conditional in {name}: backends are files that CMake chooses")
            match = INCLUDE.match(line)
            if match and match["own"]:
                self.check_own(path, number, name, match["own"])
            elif match:
                self.check_foreign(path, number, name, match["foreign"])

    def check_umbrella(self, path, lines):
        code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
        if not code and any(INCLUDE.match(line) for line in lines):
            self.refuse(path, 1, "a header of nothing but includes (an umbrella): include what is used, where it is used")
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if match and match["foreign"] and UMBRELLAS.search(match["foreign"]):
                self.refuse(path, number, f"<{match['foreign']}> in a header: include the narrow ones")

    def allowed_modules(self, name):
        if name == "main":
            return set(self.modules)
        if name == "checkpoints_tools":
            return TOOL_MODULES
        return {name, *self.modules[name].depends}

    def check_own(self, path, number, name, included):
        parts = included.split("/")
        public = parts[0] == "tessera" and len(parts) > 2
        target = Path("include" if public else "src") / included
        if name == "checkpoints_tools" and not public:
            beside = (self.root / path.parent / included).exists() or (self.root / included).exists()
            if not beside:
                self.refuse(path, number, f'"{included}" is neither public nor one of the tools\' own headers')
            return
        if not (self.root / target).exists():
            self.refuse(path, number, f'"{included}" is no file below include/ or src/')
            return
        module = parts[1] if public else parts[0]
        if not public and module != name:
            self.refuse(path, number, f'"{included}" is private to {module}; public headers are in include/tessera/')
        elif module not in self.allowed_modules(name):
            self.refuse(path, number, f'{name} may not include {module}: src/CMakeLists.txt does not say that it '
                                      'depends on it')
        elif parts[-1] not in ONLY_HEADERS.get((name, module), {parts[-1]}):
            only = ", ".join(sorted(ONLY_HEADERS[(name, module)]))
            self.refuse(path, number, f"{name} may see only {only} of {module}")

    def check_foreign(self, path, number, name, included):
        if "." not in included and "/" not in included or SYSTEM.match(included):
            return
        known = next((entry for entry in LIBRARIES if re.match(entry.pattern, included)), None)
        if known is None:
            self.refuse(path, number, f"<{included}> belongs to no known library: extend the tables in "
                                      "tests/arch/check_includes.py")
            return
        declared = self.modules[name].foreign if name in self.modules else known.targets
        if known.modules is not None and name not in known.modules:
            self.refuse(path, number, f"{name} must never see {known.name} (<{included}>)")
        elif known.targets and not known.targets & declared:
            self.refuse(path, number, f"{name} includes {known.name} (<{included}>), which is not among its FOREIGN in "
                                      "src/CMakeLists.txt")
        elif known.place == "cpp" and path.suffix in HEADER_SUFFIXES:
            self.refuse(path, number, f"<{included}> in a header: {known.name} belongs in sources alone")
        elif known.place == "src" and path.parts[0] == "include":
            self.refuse(path, number, f"<{included}> in a public header: {known.name} stays inside {name}")
        elif known.name == "LibTorch" and path.suffix in {".cu", ".cuh"}:
            self.refuse(path, number, f"<{included}> in CUDA code: kernels take raw pointers; a .cpp beside them turns "
                                      "tensors into these")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the repository")
    root = parser.parse_args().root.resolve()
    checker = Checker(root)
    violations = checker.run()
    for name in sorted(checker.undeclared):
        print(f"note: {name} is not declared in src/CMakeLists.txt: its includes are not checked", file=sys.stderr)
    print("\n".join(violations) if violations else f"{sum(1 for _ in our_files(root))} files keep to the architecture")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
