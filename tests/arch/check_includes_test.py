#!/usr/bin/env python3
"""Plants violations in a copy of the tree, one at a time, and expects check_includes.py to refuse each by file and line."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / "tests" / "arch" / "check_includes.py"


class CheckIncludes(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = Path(self.temporary.name)
        for folder in ("include", "src", "checkpoints_tools"):
            shutil.copytree(ROOT / folder, self.root / folder)
        # A module of the test's own, so that the plants do not depend on what the real ones hold.
        self.append("src/CMakeLists.txt", "\ntessera_module(zoo\n  SOURCES a.cpp\n  DEPENDS core\n  FOREIGN fmt::fmt)\n")
        self.write("src/zoo/a.cpp", "int zoo();\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def append(self, path, text):
        with open(self.root / path, "a") as file:
            file.write(text)

    def check(self):
        done = subprocess.run([sys.executable, CHECK, "--root", self.root], capture_output=True, text=True)
        return done.returncode, done.stdout

    def refuses(self, path, line, *parts):
        status, text = self.check()
        self.assertEqual(status, 1, text)
        violations = text.strip().split("\n")
        self.assertEqual(len(violations), 1, text)
        self.assertTrue(violations[0].startswith(f"{path}:{line}: "), text)
        for part in parts:
            self.assertIn(part, violations[0])

    def test_the_tree_itself_is_clean(self):
        status, text = self.check()
        self.assertEqual(status, 0, text)

    def test_undeclared_module(self):
        self.write("src/zoo/a.cpp", '#include <vector>\n#include "tessera/topology/group.hpp"\n')
        self.refuses("src/zoo/a.cpp", 2, "zoo may not include topology")

    def test_undeclared_module_in_a_public_header(self):
        self.write("include/tessera/zoo/a.hpp", '#pragma once\n#include "tessera/config/run_config.hpp"\nint a();\n')
        self.refuses("include/tessera/zoo/a.hpp", 2, "zoo may not include config")

    def test_an_include_in_a_comment_is_none(self):
        self.write("src/zoo/a.cpp", '// #include <mpi.h>\n/*\n#include "tessera/topology/group.hpp"\n*/\nint zoo();\n')
        self.assertEqual(self.check()[0], 0)

    def test_declared_module(self):
        self.write("src/zoo/a.cpp", '#include "tessera/core/error.hpp"\n#include <fmt/core.h>\n#include <sys/stat.h>\n')
        self.assertEqual(self.check()[0], 0)

    def test_private_header_of_another_module(self):
        self.write("src/zoo/a.cpp", '#include "config/values.hpp"\n')
        self.refuses("src/zoo/a.cpp", 1, "private to config")

    def test_missing_file(self):
        self.write("src/zoo/a.cpp", '#include "zoo/nowhere.hpp"\n')
        self.refuses("src/zoo/a.cpp", 1, "no file below")

    def test_library_of_other_modules(self):
        self.write("src/zoo/a.cpp", "#include <mpi.h>\n")
        self.refuses("src/zoo/a.cpp", 1, "zoo must never see MPI")
        self.write("src/zoo/a.cpp", "int zoo();\n")
        self.write("src/config/planted.cpp", "#include <ATen/core/Tensor.h>\n")
        self.refuses("src/config/planted.cpp", 1, "config must never see LibTorch")

    def test_undeclared_library(self):
        text = (self.root / "src/CMakeLists.txt").read_text()
        self.assertIn(" nlohmann_json::nlohmann_json)\ntarget_compile_definitions(tessera_config", text)
        self.write("src/CMakeLists.txt", text.replace(
            "FOREIGN Boost::program_options nlohmann_json::nlohmann_json)", "FOREIGN Boost::program_options)"))
        status, found = self.check()
        self.assertEqual(status, 1)
        self.assertIn("config includes nlohmann/json (<nlohmann/json.hpp>), which is not among its FOREIGN", found)

    def test_library_in_a_header(self):
        self.write("src/config/planted.hpp", "#pragma once\n#include <nlohmann/json.hpp>\nint a();\n")
        self.refuses("src/config/planted.hpp", 2, "nlohmann/json belongs in sources alone")

    def test_library_in_a_public_header(self):
        self.write("include/tessera/topology/planted.hpp", "#pragma once\n#include <mpi.h>\nint a();\n")
        self.refuses("include/tessera/topology/planted.hpp", 2, "MPI stays inside topology")

    def test_unknown_library(self):
        self.write("src/zoo/a.cpp", "#include <yaml/yaml.h>\n")
        self.refuses("src/zoo/a.cpp", 1, "belongs to no known library")

    def test_tensors_in_cuda_code(self):
        self.write("src/kernels/planted.cu", "#include <ATen/core/Tensor.h>\n")
        self.refuses("src/kernels/planted.cu", 1, "kernels take raw pointers")

    def test_cycle(self):
        text = (self.root / "src/CMakeLists.txt").read_text()
        self.write("src/CMakeLists.txt", text.replace("FOREIGN fmt::fmt)", "DEPENDS zoo\n  FOREIGN fmt::fmt)", 1))
        status, found = self.check()
        self.assertEqual(status, 1)
        self.assertIn("src/CMakeLists.txt:", found)
        self.assertIn("modules depend in a circle: core -> zoo -> core", found)

    def test_dependence_on_nothing(self):
        text = (self.root / "src/CMakeLists.txt").read_text()
        self.write("src/CMakeLists.txt", text.replace("DEPENDS core\n  FOREIGN fmt::fmt)", "DEPENDS core unicorn)"))
        status, found = self.check()
        self.assertEqual(status, 1)
        self.assertIn("zoo depends on unicorn, which is no module", found)

    def test_umbrella(self):
        self.write("src/zoo/all.hpp", '#pragma once\n\n#include "tessera/core/error.hpp"\n#include <vector>\n')
        self.refuses("src/zoo/all.hpp", 1, "an umbrella")

    def test_umbrella_above_the_modules(self):
        self.write("include/tessera/tessera.hpp", "#pragma once\nint a();\n")
        self.refuses("include/tessera/tessera.hpp", 1, "umbrella")

    def test_foreign_umbrella_in_a_header(self):
        self.write("include/tessera/kernels/planted.hpp", "#pragma once\n#include <ATen/ATen.h>\nint a();\n")
        self.refuses("include/tessera/kernels/planted.hpp", 2, "include the narrow ones")

    def test_budgets(self):
        self.write("src/zoo/long.hpp", "#pragma once\n" + "int a();\n" * 200)
        self.refuses("src/zoo/long.hpp", 201, "201 lines, 200 are the budget of a header")
        self.write("src/zoo/long.hpp", "#pragma once\n" + "int a();\n" * 199)
        self.assertEqual(self.check()[0], 0)
        self.write("src/zoo/a.cpp", "int a();\n" * 401)
        self.refuses("src/zoo/a.cpp", 401, "401 lines, 400 are the budget of a source")

    def test_conditionals(self):
        self.write("src/config/planted.cpp", "int a();\n#ifdef TESSERA_CUDA\nint b();\n#endif\n")
        self.refuses("src/config/planted.cpp", 2, "backends are files that CMake chooses")

    def test_tools(self):
        self.write("checkpoints_tools/planted.cpp", '#include "tessera/core/error.hpp"\n#include "config/values.hpp"\n')
        self.refuses("checkpoints_tools/planted.cpp", 2, "neither public nor one of the tools' own headers")
        self.write("checkpoints_tools/planted.cpp", '#include "tessera/kernels/ops.hpp"\n')
        self.refuses("checkpoints_tools/planted.cpp", 1, "checkpoints_tools may not include kernels")
        self.write("checkpoints_tools/planted.cpp", '#include "tessera/topology/group.hpp"\n')
        self.assertEqual(self.check()[0], 0)
        self.write("include/tessera/topology/planted.hpp", "#pragma once\nint a();\n")
        self.write("checkpoints_tools/planted.cpp", '#include "tessera/topology/planted.hpp"\n')
        self.refuses("checkpoints_tools/planted.cpp", 1, "may see only group.hpp of topology")


if __name__ == "__main__":
    unittest.main()
