"""The laws of the architecture that no linter states: what no file may contain."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.processes import loaded_after_the_urls

ROOT: Final = Path(__file__).resolve().parent.parent
APPS: Final = ("config", "trading", "post_mortem", "llm")
CORES: Final = ("trading/core", "post_mortem/core")
# After the URLconf is loaded: each of these costs every command and every worker its start.
TOO_HEAVY_TO_IMPORT: Final = (
    "pandas",
    "scipy.stats",
    "sklearn",
    "openai",
    "openpyxl",
    "reportlab",
    "pyarrow",
    "numba",
)

_UNSAFE_IMPORTS: Final = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
_UNSAFE_NAMES: Final = {"eval", "exec", "mark_safe", "SafeString", "SafeText"}
_IMPURE_IMPORTS: Final = {"logging", "os", "random", "secrets", "time", "uuid"}
_CLOCK_READS: Final = {"now", "utcnow", "today"}
_GLOBAL_RANDOM: Final = {"random", "rand", "randn", "randint", "seed", "shuffle", "choice"}


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def findings(files: Iterator[Path], breaks: Callable[[ast.AST], bool]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.stmt | ast.expr) and breaks(node)
    ]


def imports(node: ast.AST, modules: set[str]) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in modules for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and (node.module or "").split(".")[0] in modules
    return False


def named(node: ast.AST) -> str:
    """What a name, an attribute or an imported name is called, whatever it hangs on."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


# --- Python -----------------------------------------------------------------------------------
def prints(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and named(node.func) == "print"
    )


def is_unsafe(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom) and any(a.name in _UNSAFE_NAMES for a in node.names):
        return True
    # DataFrame.eval and model.eval() are other things: only the bare builtin is forbidden.
    return imports(node, _UNSAFE_IMPORTS) or (
        isinstance(node, ast.Name) and node.id in _UNSAFE_NAMES
    )


def is_impure(node: ast.AST) -> bool:
    if imports(node, _IMPURE_IMPORTS):
        return True
    if isinstance(node, ast.Call):
        if named(node.func) in _CLOCK_READS or named(node.func) in {"getenv", "open", "input"}:
            return True
        # numpy's hidden global generator, and a generator without a seed.
        on_random = isinstance(node.func, ast.Attribute) and named(node.func.value) == "random"
        unseeded = named(node.func) == "default_rng" and not (node.args or node.keywords)
        return unseeded or (on_random and named(node.func) in _GLOBAL_RANDOM)
    return named(node) == "environ"


def test_nothing_prints() -> None:
    assert findings(python_files(*APPS), prints) == []


def test_nothing_unpickles_evaluates_or_marks_safe() -> None:
    assert findings(python_files(*APPS, "benchmarks"), is_unsafe) == []


def test_the_core_has_no_clock_no_chance_no_environment_no_log() -> None:
    assert findings(python_files(*CORES), is_impure) == []


@pytest.mark.parametrize(
    ("rule", "source", "breaks"),
    [
        (prints, "print(1)", True),
        (prints, "self.stdout.write(1)", False),
        (is_unsafe, "import pickle", True),
        (is_unsafe, "from joblib import load", True),
        (is_unsafe, "eval('1')", True),
        (is_unsafe, "from django.utils.safestring import mark_safe", True),
        (is_unsafe, "frame.eval('a')", False),
        (is_unsafe, "import json", False),
        (is_impure, "import random", True),
        (is_impure, "from os import environ", True),
        (is_impure, "datetime.now(UTC)", True),
        (is_impure, "date.today()", True),
        (is_impure, "np.random.rand(3)", True),
        (is_impure, "np.random.default_rng()", True),
        (is_impure, "np.random.default_rng(seed)", False),
        (is_impure, "def f(now): return now + 1", False),
        (is_impure, "batch.now", False),
        (is_impure, "from trading.core import types", False),
    ],
)
def test_the_rules_themselves(rule: Callable[[ast.AST], bool], source: str, breaks: bool) -> None:
    assert any(rule(node) for node in ast.walk(ast.parse(source))) is breaks


# --- Templates: the content security policy would silently switch these off ---------------------
_FORBIDDEN_IN_TEMPLATES: Final = {
    "an inline script": re.compile(
        r"<script\b(?![^>]*\bsrc\s*=)(?![^>]*\btype=.application/json)", re.I
    ),
    "an inline style sheet": re.compile(r"<style\b", re.I),
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.I),
    "an on... attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.I),
    "hx-on": re.compile(r"\b(?:data-)?hx-on\b", re.I),
    "a js: value": re.compile(r"""=\s*["']\s*(?:js|javascript):""", re.I),
    "an htmx trigger filter": re.compile(r"""\bhx-trigger\s*=\s*(["'])[^"']*\[""", re.I),
    "|safe": re.compile(r"\|\s*safe(?:seq)?\b"),
    "autoescape off": re.compile(r"autoescape\s+(?:off|false)", re.I),
    "a resource from elsewhere": re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=.(?:https?:)?//", re.I
    ),
}


def page_templates() -> list[Path]:
    """Everything a browser is sent. E-mails cannot refer to style sheets and are not among it."""
    folders = (ROOT / "templates", *(ROOT / app for app in APPS))
    files = {path for folder in folders for path in folder.rglob("*.html")}
    return sorted(path for path in files if "emails" not in path.parts)


def template_faults(source: str) -> list[str]:
    without_comments = re.sub(
        r"{#.*?#}|{% comment.*?endcomment %}|<!--.*?-->", "", source, flags=re.S
    )
    return [what for what, rule in _FORBIDDEN_IN_TEMPLATES.items() if rule.search(without_comments)]


def test_templates_carry_nothing_inline() -> None:
    faults = {str(p.relative_to(ROOT)): template_faults(p.read_text()) for p in page_templates()}
    assert {path: found for path, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<script>go()</script>", ["an inline script"]),
        ('<script type="module" src="{% static "a.js" %}"></script>', []),
        ('{{ bars|json_script:"bars" }}', []),
        ('<script type="application/json" id="x">{}</script>', []),
        ("<style>a{}</style>", ["an inline style sheet"]),
        ('<p style="color: red">', ["a style attribute"]),
        ('<p data-style="x" class="on">', []),
        ('<a onclick="go()">', ["an on... attribute"]),
        ('<p class="style = on">', []),
        ('<a hx-on:click="go()">', ["hx-on"]),
        ("<a hx-vals='js:{a: 1}'>", ["a js: value"]),
        ('<a hx-trigger="keyup[ctrlKey]">', ["an htmx trigger filter"]),
        ("{{ note|safe }}", ["|safe"]),
        ("{{ note|safeseq|join:', ' }}", ["|safe"]),
        ('<img src="https://a.example/x.png">', ["a resource from elsewhere"]),
        ('<a href="https://a.example/">', []),
        ("{# no <style> here #}", []),
    ],
)
def test_the_template_rules_themselves(source: str, found: list[str]) -> None:
    assert template_faults(source) == found


# --- Scripts of ours ----------------------------------------------------------------------------
def test_scripts_build_no_html_and_no_code_from_text() -> None:
    rule = re.compile(
        r"\b(?:eval|new Function|document\.write|insertAdjacentHTML)\(|\.(?:inner|outer)HTML\s*\+?="
    )
    scripts = [path for app in APPS for path in (ROOT / app).rglob("static/**/*.js")]
    found = [str(path.relative_to(ROOT)) for path in scripts if rule.search(path.read_text())]
    assert found == []


# --- Start-up -----------------------------------------------------------------------------------
def test_loading_the_urls_imports_nothing_heavy() -> None:
    assert loaded_after_the_urls(TOO_HEAVY_TO_IMPORT) == []
