#!/usr/bin/env python3
"""Reads every include and every source line against the rules that a compiler cannot hold.

    layering_test.py tree [ROOT]   checks the tree; prints one line a violation, exit 1 if there is any
    layering_test.py self-test     plants one violation of each rule in a scratch tree and expects it to be found
"""

import pathlib
import re
import sys
import tempfile

# What each folder may include of ours. The longest matching prefix of a path names its layer.
LAYERS = {
    "core": {"core"},
    "core/config": {"core", "core/config"},
    "kernels": {"kernels"},
    "data": {"data", "core"},
    "models": {"models", "core", "kernels"},
    "comm": {"comm", "core", "kernels"},
    "comm/tls": {"comm/tls", "comm", "core"},  # a library of its own, which comm does not stand on
    "comm/gateway": {"comm/gateway", "comm/tls", "comm", "core"},
    "comm/netproxy": {"comm/netproxy", "core", "core/config"},
    "algorithms": {"algorithms", "core", "kernels"},
    "deploy": {"deploy", "deploy/onnx", "deploy/runtime", "algorithms", "models", "data", "core", "kernels"},
    "deploy/onnx": {"deploy/onnx", "algorithms", "core"},
    "deploy/runtime": {"deploy/runtime", "kernels"},
    "client": {"client", "algorithms", "deploy", "deploy/onnx", "models", "data", "comm", "core"},
    "coordinator": {"coordinator", "algorithms", "deploy", "deploy/onnx", "models", "data", "comm", "core"},
}
LAYERS["launch"] = set(LAYERS) | {"launch"}
LAYERS["tests"] = set(LAYERS) | {"tests"}

# Libraries of others, and the only folders that may see them. Tests may see all.
LIBRARIES = {
    r"yaml-cpp/": {"core/config"},
    r"(mpi|nccl)\.h$": {"comm"},
    r"boost/asio|boost/beast|openssl/": {"comm/tls", "comm/gateway", "comm/netproxy"},
    r"(torch|ATen|c10)/": {"models"},
    r"(onnx|google/protobuf)/": {"deploy/onnx"},
    r"zlib\.h$": {"data", "deploy/runtime"},
    r"zip\.h$": {"data"},
    r"stddef\.h$": {"deploy/runtime"},  # its header is one for C
    r"(CLI|fmt|spdlog)/": {"launch"},
    r"(cuda|cub|thrust|cooperative_groups|mma|immintrin|libxsmm|dnnl)": {"kernels"},
}
STANDARD = set(
    """algorithm any array atomic barrier bit bitset charconv chrono compare complex concepts condition_variable
    coroutine deque exception execution filesystem format forward_list fstream functional future initializer_list
    iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource mutex new numbers
    numeric optional ostream queue random ranges ratio regex scoped_allocator semaphore set shared_mutex
    source_location span sstream stack stdexcept stop_token streambuf string string_view syncstream system_error thread
    tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version cassert
    cctype cerrno cfenv cfloat cinttypes climits clocale cmath csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib
    cstring ctime cuchar cwchar cwctype""".split()
)
# The operating system: files, processes, terminals. Values and mathematics have no business with it.
SYSTEM = re.compile(r"(sys/.*|unistd|fcntl|malloc|poll|sched|signal|termios|pthread|spawn|netdb|netinet/.*|arpa/.*)(\.h)?$")
SYSTEM_LAYERS = {"comm", "comm/tls", "comm/gateway", "comm/netproxy", "coordinator", "data", "deploy", "deploy/runtime", "launch", "models", "tests"}
# Algorithms are pure: no files, no terminal, no clock, no threads.
IMPURE = {"chrono", "ctime", "cstdio", "fstream", "iostream", "filesystem", "thread", "future", "syncstream"}

CALL = r"(?:(?<![\w.>:])|std::|(?<!\w)::)(?:{})\s*\("
EVERYWHERE = {
    r"\bsleep_(for|until)\b|" + CALL.format("usleep|nanosleep|sleep"): "sleeps; wait for an event instead",
    r"\brandom_device\b|\bdefault_random_engine\b|" + CALL.format("rand|srand|drand48"):
        "uses a global or unspecified generator; randomness is core/random.h",
    r"\bmanual_seed\b": "seeds a global generator; randomness is core/random.h",
    r"\btorch::(load|jit)\b": "loads pickled bytes; checkpoints are core/checkpoint.h",
}
LIBRARY_ONLY = {
    r"\bstd::(cout|cerr|clog)\b|" + CALL.format("v?f?printf|puts|fputs|putchar|perror"): "prints; only launch/ does",
}
NOT_IN_TESTS = {r"\bmt19937": "differs from the product's generator; randomness is core/random.h"}
NOT_IN_MAIN = {
    r"(?<!void )(?:" + CALL.format("exit|_exit|_Exit|quick_exit|abort|terminate") + ")":
        "ends the process; throw an Error instead",
}
MAY_EXIT = {"launch/main.cpp", "core/failpoint.cpp"}  # the second exists to kill the process that a test names
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
MAX_LINES = 500
SOURCES = {".h", ".cpp", ".cu", ".cuh", ".def"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def layer_of(path):
    """The layer that a path relative to the root belongs to, or None."""
    candidates = [layer for layer in LAYERS if path.startswith(layer + "/")]
    return max(candidates, key=len) if candidates else None


def without_comments_and_texts(source):
    """The source with comments and literals blanked, line by line the same length of list."""
    pattern = r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/'

    def blank(match):
        # 1'000 is a number, not the start of a character.
        if match.group().startswith("'") and source[max(match.start() - 1, 0)].isalnum():
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return re.sub(pattern, blank, source, flags=re.S).split("\n")


def check_include(root, path, layer, ours, theirs):
    """What is wrong with one include, or None."""
    if ours:
        target = layer_of(ours)
        if not (root / ours).is_file():
            return f'"{ours}" is no file of the tree; includes are relative to its root'
        if target not in LAYERS[layer]:
            return f"{layer} may not include {target} ({ours})"
        return None
    if theirs in STANDARD:
        if theirs in IMPURE and layer == "algorithms":
            return f"algorithms are pure: <{theirs}> is I/O, a clock or threads"
        if theirs == "random" and layer != "tests":
            return "<random> differs between libraries; randomness is core/random.h"
        return None
    if layer == "tests" or (SYSTEM.match(theirs) and layer in SYSTEM_LAYERS):
        return None
    for pattern, allowed in LIBRARIES.items():
        if re.match(pattern, theirs) and layer in allowed:
            return None
    return f"{layer} may not include <{theirs}>"


def check_file(root, path):
    """Violations of one source file as (line number, sentence)."""
    source = (root / path).read_text(encoding="utf-8")
    lines = source.split("\n")
    layer = layer_of(path)
    if len(lines) - 1 > MAX_LINES:
        yield len(lines), f"has {len(lines) - 1} lines, at most {MAX_LINES} are allowed; which type is missing?"
    if path.endswith(".h"):
        if lines[0] != "#pragma once":
            yield 1, "a header begins with #pragma once"
        elif layer != "tests" and not (len(lines) > 1 and lines[1].startswith("// ")):
            yield 2, "a header is the manual: say what it is right below #pragma once"
    rules = dict(EVERYWHERE)
    if layer not in ("launch", "tests"):
        rules.update(LIBRARY_ONLY)
    if layer != "tests":
        rules.update(NOT_IN_TESTS)
    if path not in MAY_EXIT and layer != "tests":
        rules.update(NOT_IN_MAIN)
    for number, line in enumerate(lines, start=1):
        match = INCLUDE.match(line)
        problem = match and check_include(root, path, layer, *match.groups())
        if problem:
            yield number, problem
        if UNFINISHED.search(line):
            yield number, "unfinished work belongs in an issue"
        if "NOLINT" in line and not re.search(r"NOLINT(NEXTLINE|BEGIN|END)?\([\w.,-]+\)", line):
            yield number, "a silenced check is named: NOLINT(check)"
    for number, line in enumerate(without_comments_and_texts(source), start=1):
        for pattern, sentence in rules.items():
            if re.search(pattern, line):
                yield number, sentence


def types_of(source):
    """Types that a file defines in a named namespace, as (line number, 'outer::Name')."""
    namespaces = []
    for number, (line, whole) in enumerate(zip(without_comments_and_texts(source), source.split("\n")), start=1):
        opened = re.match(r"(?:inline )?namespace( [\w:]+)?\s*{$", line.rstrip())
        defined = re.match(r"(?:struct|class|enum class|union) (?:alignas\(\w+\) )?(\w+)(?: final)?\s*(?::(?!:)[^;]*)?{", line)
        if opened:
            namespaces.append((opened.group(1) or "").strip())
        elif whole.startswith("}  // namespace"):  # the formatter writes it so
            namespaces.pop()
        elif defined and "" not in namespaces:
            yield number, "::".join([*namespaces, defined.group(1)])


def check_definitions(sources):
    """One name, one type: two of them in one program are undefined behaviour that no linker reports."""
    home = {}
    for path, source in sources:
        for number, name in types_of(source):
            if "::" in name and home.setdefault(name, path) != path:
                yield f"{path}:{number}: {name} is a type of {home[name]} already"


def check_tree(root):
    """All violations below `root`, as 'path:line: sentence'."""
    found = []
    sources = []
    for folder in sorted({layer.split("/")[0] for layer in LAYERS}):
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix in SOURCES and file.is_file():
                found += [f"{path}:{number}: {sentence}" for number, sentence in check_file(root, path)]
                sources.append((path, file.read_text(encoding="utf-8")))
    return found + list(check_definitions(sources))


MANUAL = "#pragma once\n// A value.\n"
CLEAN = {
    "core/a.h": MANUAL + "#include <vector>\n",
    "core/config/schema.cpp": '#include <yaml-cpp/yaml.h>\n#include "core/a.h"\n',
    "kernels/k.cpp": "#include <immintrin.h>\n#include <cstdint>\n",
    "models/m.cpp": '#include <ATen/core/Tensor.h>\n#include <malloc.h>\n#include "core/a.h"\n',
    "comm/c.h": MANUAL + "struct C { void abort(int exit_code); };\n",
    "comm/c.cpp": '#include <mpi.h>\n#include "comm/c.h"\nvoid C::abort(int code) { MPI_Abort(world, code); }\n',
    "client/run.cpp": '#include "comm/c.h"\nvoid f(C& c) { c.abort(1); }  // not std::abort()\n',
    "data/z.cpp": '#include <zlib.h>\nconst char* kText = "printf(exit(1))";\nint big = 1\'000;\n',
    "deploy/runtime/body.cpp": "#include <zlib.h>\n",
    "launch/main.cpp": '#include <CLI/CLI.hpp>\n#include "client/run.h"\nint main() { std::cout << 1; std::exit(2); }\n',
    "client/run.h": MANUAL,
    "algorithms/s.cpp": '#include "core/a.h"\n#include <cmath>\ndouble expand(double x) { return std::exp(x); }\n',
    "tests/models/m_test.cpp": '#include <torch/torch.h>\n#include <random>\n#include "models/m.h"\n',
    "models/m.h": MANUAL,
    "core/two.h": MANUAL + "namespace coppice {\nstruct Two {\n};\nstruct Forward;\n}  // namespace coppice\n",
    "core/forward.h": MANUAL + "namespace coppice {\nstruct Two;\nnamespace {\nstruct Own {\n};\n}  // namespace\n}  // namespace coppice\n",
    "core/other.cpp": "namespace coppice::other {\nstruct Two {\n};\n}  // namespace coppice::other\nnamespace {\nstruct Own {\n};\n}  // namespace\n",
}
PLANTED = [
    ("core/bad.cpp", "#include <yaml-cpp/yaml.h>\n", "core may not include <yaml-cpp/yaml.h>"),
    ("core/bad.cpp", "#include <unistd.h>\n", "core may not include <unistd.h>"),
    ("core/bad.cpp", '#include "kernels/k.h"\n', "no file of the tree"),
    ("core/bad.cpp", '#include "comm/c.h"\n', "core may not include comm"),
    ("core/bad.cpp", '# include "core/config/schema.cpp"\n', "core may not include core/config"),
    ("core/bad.cpp", '#include "a.h"\n', "no file of the tree"),
    ("client/bad.cpp", '#include "coordinator/r.h"\n', "client may not include coordinator"),
    ("coordinator/bad.cpp", '#include "client/run.h"\n', "coordinator may not include client"),
    ("coordinator/bad.cpp", "#include <mpi.h>\n", "coordinator may not include <mpi.h>"),
    ("launch/bad.cpp", "#include <mpi.h>\n", "launch may not include <mpi.h>"),
    ("comm/bad.cpp", "#include <openssl/ssl.h>\n", "comm may not include <openssl/ssl.h>"),
    ("comm/tls/bad.cpp", "#include <mpi.h>\n", "comm/tls may not include <mpi.h>"),
    ("deploy/bad.cpp", "#include <onnx/onnx_pb.h>\n", "deploy may not include <onnx/onnx_pb.h>"),
    ("deploy/onnx/bad.cpp", '#include "models/m.h"\n', "deploy/onnx may not include models"),
    ("client/bad.cpp", "#include <ATen/ops/add.h>\n", "client may not include <ATen/ops/add.h>"),
    ("algorithms/bad.cpp", '#include "models/m.h"\n', "algorithms may not include models"),
    ("algorithms/bad.cpp", "#include <chrono>\n", "algorithms are pure"),
    ("algorithms/bad.cpp", "#include <fstream>\n", "algorithms are pure"),
    ("data/bad.cpp", "#include <random>\n", "randomness is core/random.h"),
    ("models/bad.cpp", "#include <zlib.h>\n", "models may not include <zlib.h>"),
    ("deploy/runtime/bad.cpp", "#include <zip.h>\n", "deploy/runtime may not include <zip.h>"),
    ("kernels/bad.cu", '#include "core/a.h"\n', "kernels may not include core"),
    ("deploy/runtime/bad.cpp", '#include "core/a.h"\n', "deploy/runtime may not include core"),
    ("client/bad.cpp", "#include <fmt/format.h>\n", "client may not include <fmt/format.h>"),
    ("core/bad.cpp", "void f() { std::cout << 1; }\n", "prints"),
    ("core/bad.cpp", 'void f() { printf("x"); }\n', "prints"),
    ("core/bad.cpp", 'void f() { std::fprintf(stderr, "x"); }\n', "prints"),
    ("core/bad.cpp", "void f() { std::abort(); }\n", "ends the process"),
    ("core/bad.cpp", "void f() { ::exit(1); }\n", "ends the process"),
    ("launch/bad.cpp", "void f() { exit(1); }\n", "ends the process"),
    ("comm/bad.cpp", "void f() { std::this_thread::sleep_for(1ms); }\n", "sleeps"),
    ("tests/comm/bad_test.cpp", "void f() { usleep(5); }\n", "sleeps"),
    ("core/bad.cpp", "int f() { return std::rand(); }\n", "generator"),
    ("core/bad.cpp", "std::random_device device;\n", "generator"),
    ("data/bad.cpp", "std::mt19937_64 generator(1);\n", "product's generator"),
    ("models/bad.cpp", "void f() { torch::manual_seed(1); }\n", "seeds"),
    ("models/bad.cpp", "void f() { torch::load(x, y); }\n", "pickled"),
    ("core/bad.cpp", "// TO" + "DO: later\n", "unfinished"),
    ("core/bad.cpp", "int a;\n" * (MAX_LINES + 1), "lines, at most"),
    ("core/bad.cpp", "int a;  // NOLINT\n", "silenced check"),
    ("models/two.h", MANUAL + "namespace coppice {\nvoid f() {\n}\nstruct Two final : Base {\n", "is a type of core/two.h"),
    ("core/bad.h", "#ifndef A\n", "#pragma once"),
    ("core/bad.h", "#pragma once\n#include <vector>\n", "a header is the manual"),
]


def violations_of(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
        return check_tree(root)


def self_test():
    clean = dict(CLEAN, **{"coordinator/r.h": MANUAL})
    failures = [f"clean tree: {line}" for line in violations_of(clean)]
    for path, content, expected in PLANTED:
        found = violations_of(dict(clean, **{path: content}))
        if len(found) != 1 or not found[0].startswith(path) or expected not in found[0]:
            failures.append(f"planted {path} {content[:60]!r}: expected one '{expected}', got {found}")
    return failures


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in ("tree", "self-test"):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).parents[2])
    found = self_test() if sys.argv[1] == "self-test" else check_tree(root)
    print("\n".join(found + [f"{len(found)} violations"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
