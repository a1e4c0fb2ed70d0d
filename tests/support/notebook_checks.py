"""What each notebook must be as text; a check takes a notebook and returns its problems."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from colab import COLAB_CELL
from nbformat import NotebookNode
from pybtex.database import parse_file

from helpers.bookmaking.book import has_tag, read_parameters
from helpers.bookmaking.closure import parsed
from helpers.bookmaking.page import ANSWER, CHECKING, answers, figure_of, folded

REQUIRED_PARAMETERS = {"DRAWS", "TUNE", "CHAINS", "SEED", "ENFORCE_CLAIMS"}
#: What a report on the reader's data takes from a chapter, and how many cells of it.
REPORT = {"report-picture": 1, "report-method": 1} | dict.fromkeys(
    ("report-results", "report-file", "report-fit")
)
TAGS = {
    *("parameters", "simulated", *REPORT),
    *(f"{what}-{part}" for what in ("hide", "remove") for part in ("cell", "input", "output")),
}
NOTEBOOK_METADATA = {"kernelspec", "language_info"}
CELL_METADATA = {"tags", "mystnb"}
MODERN_RANDOM = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64"}
NETWORK_MODULES = {"aiohttp", "http", "httpx", "requests", "socket", "urllib"}
FETCHING = re.compile(r"https?://|^\s*[!%]\s*(?:pip|conda|curl|wget|git)\b", re.MULTILINE)
REMOVED = {
    r"\baz\.plot_trace\b(?!_)": "az.plot_trace_dist",
    r"\baz\.plot_ppc\b(?!_)": "az.plot_ppc_dist",
    r"\baz\.plot_posterior\b": "az.plot_dist",
    r"\baz\.plot_hdi\b": "az.plot_lm, or az.hdi and fill_between",
    r"\baz\.waic\b": "az.loo",
    r"\baz\.(?:convert_to_inference_data|InferenceData)\b|\bInferenceData\(": "xarray.DataTree",
    r"\b\w*(?:idata|trace|fit|prior|posterior)\w*\.extend\(": ".update() of a DataTree",
    r"\bpm\.(?:MutableData|ConstantData)\b": "pm.Data",
    r"\bpm\.model_to_graphviz\b": "pm.model_to_mermaid",
    r"\bpm\.sample_prior_predictive\([^)]*\bsamples=": "draws=",
    r"\bnumpyro\.\w*\.DeviceArray\b|\bjnp\.DeviceArray\b": "jax.Array",
    r"\bmultidimensional\.MMM\b|\bmmm\.delayed_saturated_mmm\b": "pymc_marketing.mmm.MMM",
}
SEEDED = {"sample", "sample_prior_predictive", "sample_posterior_predictive", "draw"}

Check = Callable[[NotebookNode], list[str]]


def code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """Code cells, each with its number among all cells."""
    cells = enumerate(notebook.cells, start=1)
    return ((number, cell) for number, cell in cells if cell.cell_type == "code")


def prose(notebook: NotebookNode) -> str:
    """All Markdown, without fenced and inline code that carries no role."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def calls(tree: ast.AST, *, inside_functions: bool = True) -> Iterator[tuple[str, ast.Call]]:
    """Every call with its dotted name, `plt.subplots` for example."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from calls(node, inside_functions=inside_functions)


def keywords(call: ast.Call) -> set[str | None]:
    """Names of the keyword arguments; None stands for `**more`."""
    return {keyword.arg for keyword in call.keywords}


def format_is_valid(notebook: NotebookNode) -> list[str]:
    """Valid by nbformat; each cell has an id of its own."""
    ids = [cell.get("id", "missing") for cell in notebook.cells]
    if repeated := sorted({one for one in ids if ids.count(one) > 1 or one == "missing"}):
        return [f"id {one}: each cell needs its own" for one in repeated]
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [str(error).splitlines()[0]]
    return []


def nothing_is_executed(notebook: NotebookNode) -> list[str]:
    """Neither outputs nor counts."""
    return [
        f"cell {number}: clear its outputs"
        for number, cell in code_cells(notebook)
        if cell.outputs or cell.execution_count is not None
    ]


def metadata_is_authored(notebook: NotebookNode) -> list[str]:
    """No metadata that a tool left behind; the kernel is python3."""
    problems = [f"metadata: drop {key}" for key in notebook.metadata.keys() - NOTEBOOK_METADATA]
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        problems.append("metadata: the kernel must be python3")
    for number, cell in enumerate(notebook.cells, start=1):
        problems += [f"cell {number}: drop {key}" for key in cell.metadata.keys() - CELL_METADATA]
    return problems


def tags_are_known(notebook: NotebookNode) -> list[str]:
    """Only tags that the book gives a meaning."""
    return [
        f"cell {number}: unknown tag {tag}"
        for number, cell in enumerate(notebook.cells, start=1)
        for tag in cell.metadata.get("tags", [])
        if tag not in TAGS
    ]


def parameters_are_complete(notebook: NotebookNode) -> list[str]:
    """One parameters cell: literal values, one a line, the common names among them."""
    cells = [cell for _, cell in code_cells(notebook) if has_tag(cell, "parameters")]
    if len(cells) != 1:
        return [f"{len(cells)} cells tagged parameters"]
    problems = []
    for statement in ast.parse(cells[0].source).body:
        line = ast.unparse(statement)
        try:
            ast.literal_eval(statement.value)
            single_name = isinstance(statement.targets[0], ast.Name) and len(statement.targets) == 1
        except (AttributeError, ValueError):
            single_name = False
        if not single_name:
            problems.append(f"{line}: not one name and one literal")
    missing = REQUIRED_PARAMETERS - read_parameters(notebook).keys()
    return problems + [f"no parameter {name}" for name in sorted(missing)]


#: Title, situation, question, answer and action, each a paragraph.
OPENING = re.compile(
    r"# [^\n]+\n\n"
    r"(?!\*\*)\S[\s\S]*?\n\n"
    r"\*\*[^\n]+\?\*\*\n\n"
    r"\{glue:text\}`answer`\n\n"
    r"\*What to do\.\* \{glue:text\}`action`\s*"
)


def opens_with_its_answer(notebook: NotebookNode) -> list[str]:
    """The first cell is the first screen: title, situation, question, answer, what to do."""
    headings = re.findall(r"^# .+", prose(notebook), re.MULTILINE)
    problems = [] if len(headings) == 1 else [f"{len(headings)} headings `# Title`, one is needed"]
    if not (notebook.cells and OPENING.fullmatch(notebook.cells[0].source)):
        problems.append(
            "cell 1: must be `# Title`, the situation, `**Question?**`, {glue:text}`answer`, and "
            "*What to do.* {glue:text}`action`, a paragraph each and nothing else"
        )
    return problems


def one_figure_answers(notebook: NotebookNode) -> list[str]:
    """Exactly one figure has a name that ends with `-answer`."""
    count = sum(map(answers, notebook.cells))
    return [] if count == 1 else [f"{count} figures are called fig-...{ANSWER}, one is needed"]


def in_view(cell: NotebookNode) -> bool:
    """Whether a page shows a cell's code unfolded."""
    hidden = ("hide-input", "hide-cell", "remove-input", "remove-cell")
    return cell.cell_type == "code" and not any(has_tag(cell, tag) for tag in hidden)


def lines_in_view(notebook: NotebookNode) -> int:
    """Lines of code that a page shows unfolded, blank ones not counted."""
    lines = (line for cell in notebook.cells if in_view(cell) for line in cell.source.splitlines())
    return sum(bool(line.strip()) for line in lines)


def bookkeeping_is_folded(notebook: NotebookNode) -> list[str]:
    """Parameters, imports, claims and published numbers are folded: a reader sees the modelling."""
    problems = []
    for number, cell in code_cells(notebook):
        called = CHECKING & {name for name, _ in calls(parsed(cell.source))}
        if in_view(cell) and called:
            problems.append(f"cell {number}: {', '.join(sorted(called))} in view; fold it apart")
        elif in_view(cell) and folded(cell) in ("Parameters", "Imports"):
            problems.append(f"cell {number}: {folded(cell).lower()} in view; tag it hide-input")
    return problems


def chapters_are_named(notebook: NotebookNode) -> list[str]:
    """No chapter is meant by its number, which changes when another is inserted."""
    captions = [figure_of(cell).get("caption", "") for cell in notebook.cells]
    return numbered_chapters("\n".join([prose(notebook), *captions]))


def numbered_chapters(text: str) -> list[str]:
    """Places of a text that name a chapter by a number."""
    found = re.findall(r"\b[Cc]hapters? \[?\d+", text)
    found += re.findall(r"\bmarket-book run \d+", text)
    return [f"{one}: name the chapter, numbers change" for one in found]


def seeds_have_names(notebook: NotebookNode) -> list[str]:
    """No seed is meant by its place in a list."""
    return [
        f"cell {number}: {found}; name it with named_seeds"
        for number, cell in code_cells(notebook)
        for found in re.findall(r"\bseeds?\[\d+\]", cell.source)
    ]


def captions_say_what_to_see(notebook: NotebookNode) -> list[str]:
    """Captions do not all begin alike."""
    return [
        f"cell {number}: a caption begins with Look at"
        for number, cell in code_cells(notebook)
        if figure_of(cell).get("caption", "").startswith("Look at")
    ]


def draws_figure(cell: NotebookNode) -> bool:
    """Whether the cell plots, as far as its text shows."""
    names = [name for name, _ in calls(parsed(cell.source), inside_functions=False)]
    return any(
        re.fullmatch(r"plt\.(?:subplots|figure|subplot_mosaic|show)|(?:\w+\.)*plot_\w+", name)
        for name in names
    )


def figures_are_described(notebook: NotebookNode) -> list[str]:
    """Each cell that plots has a name, a caption and alternative text without numbers."""
    problems, names = [], []
    for number, cell in code_cells(notebook):
        figure = figure_of(cell)
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if not (draws_figure(cell) or figure or alt):
            continue
        if not re.fullmatch(r"fig-[a-z0-9-]+", figure.get("name", "")):
            problems.append(f"cell {number}: the figure's name must be fig-words-like-these")
        if len(figure.get("caption", "")) < 20:
            problems.append(f"cell {number}: the figure needs a caption that says what it shows")
        if len(alt) < 20:
            problems.append(f"cell {number}: the figure needs alternative text with its finding")
        if re.search(r"\d", alt):
            problems.append(f"cell {number}: numbers in alternative text go stale: {alt}")
        names.append(figure.get("name"))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    return problems + [f"two figures are called {name}" for name in twice]


def randomness_is_seeded(notebook: NotebookNode) -> list[str]:
    """Generators and samplers get a seed; nothing uses NumPy's global state."""
    problems = []
    for number, cell in code_cells(notebook):
        tree = parsed(cell.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in (
                "np.random",
                "numpy.random",
            ):
                if node.attr not in MODERN_RANDOM:
                    problems.append(f"cell {number}: np.random.{node.attr} is legacy")
            elif isinstance(node, ast.Import) and any(a.name == "random" for a in node.names):
                problems.append(f"cell {number}: import random; use np.random.default_rng(SEED)")
        for name, call in calls(tree):
            if name.endswith("default_rng") and not (call.args or call.keywords):
                problems.append(f"cell {number}: default_rng() without a seed")
            library, _, function = name.rpartition(".")
            seedless = not keywords(call) & {"random_seed", None}
            if library == "pm" and function in SEEDED and seedless:
                problems.append(f"cell {number}: {name} without random_seed")
    return problems


def first_cell_is_for_colab(notebook: NotebookNode) -> list[str]:
    """The first code cell installs the book on Colab, the same in every notebook."""
    first = next((cell.source for _, cell in code_cells(notebook)), "")
    return [] if first == COLAB_CELL else ["the first code cell must be COLAB_CELL"]


def network_is_not_used(notebook: NotebookNode) -> list[str]:
    """Nothing is fetched, but on Colab: a page must build without a connection."""
    problems = []
    for number, cell in code_cells(notebook):
        if cell.source == COLAB_CELL:
            continue
        problems += [f"cell {number}: {found.strip()}" for found in FETCHING.findall(cell.source)]
        for node in ast.walk(parsed(cell.source)):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            problems += [
                f"cell {number}: imports {module}"
                for module in modules
                if module.partition(".")[0] in NETWORK_MODULES
            ]
    return problems


def interfaces_are_current(notebook: NotebookNode) -> list[str]:
    """No call that is gone, or that silently means something else now."""
    problems = []
    for number, cell in code_cells(notebook):
        for pattern, instead in REMOVED.items():
            if found := re.search(pattern, cell.source):
                problems.append(f"cell {number}: {found[0]}; use {instead}")
        for name, call in calls(parsed(cell.source)):
            if name == "az.hdi" and not keywords(call) & {"dim", None}:
                problems.append(f"cell {number}: az.hdi without dim= reduces the last axis")
    return problems


#: Endings of the keys that a helper publishes under a prefix.
SHARED_TABLES = {
    "rank_numbers": "histograms|leaving|pvalue|expected|farthest|allowed|curve-pvalue",
    "sampler_numbers": "datasets|divergent|rhat|ess|failed",
}


def glued_keys_are_published(notebook: NotebookNode) -> list[str]:
    """Each number that prose shows is published by this notebook's code."""
    published = set()
    for _, cell in code_cells(notebook):
        for name, call in calls(parsed(cell.source)):
            if name.endswith("key_numbers") and call.args:
                published |= {pattern_of(key) for key in keys_of(call.args[0])}
            elif name.endswith("publish") and call.args:
                published.add(pattern_of(call.args[0]))
            elif endings := SHARED_TABLES.get(name):
                (prefix,) = (k.value for k in call.keywords if k.arg == "prefix")
                published.add(f"{pattern_of(prefix)}-({endings})")
    used = re.findall(r"\{glue:\w+\}`([^`:/]+)", prose(notebook))
    return [
        f"{key} is shown and never published"
        for key in sorted(set(used))
        if not any(re.fullmatch(pattern, key) for pattern in published)
    ]


def keys_of(mapping: ast.expr) -> list[ast.expr]:
    """Keys of a dict display, of a comprehension, or of several joined by `|`."""
    if isinstance(mapping, ast.Dict):
        return [
            key
            for name, value in zip(mapping.keys, mapping.values, strict=True)
            for key in ([name] if name else keys_of(value))  # no name: `**value`
        ]
    if isinstance(mapping, ast.DictComp):
        return [mapping.key]
    if isinstance(mapping, ast.BinOp):
        return keys_of(mapping.left) + keys_of(mapping.right)
    return [mapping]


def pattern_of(key: ast.expr) -> str:
    """Pattern of the keys that an expression can give."""
    if isinstance(key, ast.Constant):
        return re.escape(str(key.value))
    if isinstance(key, ast.JoinedStr):
        return "".join(pattern_of(part) for part in key.values)
    return ".+"


def cited_works_exist(notebook: NotebookNode, bibliography: Path) -> list[str]:
    """Each citation has its entry in the bibliography."""
    known = parse_file(bibliography).entries
    cited = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(notebook))
    keys = {key.strip() for group in cited for key in group.split(",")}
    return [f"{key} is not in {bibliography.name}" for key in sorted(keys) if key not in known]


def terms_are_defined(notebook: NotebookNode, glossary: Path) -> list[str]:
    """Each term has its entry in the glossary."""
    defined = {term.lower() for term in glossary_terms(glossary.read_text())}
    used = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", prose(notebook))
    missing = sorted({" ".join(term.split()) for term in used} - defined)
    return [f"{term} is not in the glossary" for term in missing if term.lower() not in defined]


def glossary_terms(text: str) -> Iterator[str]:
    """Terms of a `{glossary}` directive: its lines without indentation."""
    directive = r"^(`{3,}|:{3,})\{glossary\}[^\n]*\n(.*?)^\1"
    for _, block in re.findall(directive, text, re.DOTALL | re.MULTILINE):
        yield from (line.strip() for line in block.splitlines() if re.match(r"[^\s:]", line))


def own_data_are_reported(notebook: NotebookNode) -> list[str]:
    """A chapter that takes a file has what its report needs, in cells that run on that file."""
    takes_file = "DATA_PATH" in read_parameters(notebook)
    cells = list(enumerate(notebook.cells, start=1))
    problems = []
    for tag, wanted in REPORT.items():
        tagged = [(number, cell) for number, cell in cells if has_tag(cell, tag)]
        if wanted and takes_file and len(tagged) != wanted:
            problems.append(f"{len(tagged)} cells tagged {tag}, one is needed")
        for number, cell in tagged:
            if not takes_file or has_tag(cell, "simulated"):
                problems.append(f"cell {number}: {tag} in a cell that no report runs")
            kind = "markdown" if tag == "report-method" else "code"
            advice = tag == "report-fit" and cell.cell_type == "markdown"
            if (cell.cell_type != kind and not advice) or "{glue:" in cell.source:
                problems.append(f"cell {number}: {tag} needs a {kind} cell without numbers")
            if tag == "report-picture" and not figure_of(cell):
                problems.append(f"cell {number}: {tag} without a figure")
    count = 0
    for number, cell in code_cells(notebook):
        if not takes_file or has_tag(cell, "simulated"):
            continue
        for name, call in calls(parsed(cell.source)):
            count += name == "own_answer"
            markup = name.rpartition(".")[2] in ("Markdown", "HTML", "Math", "Latex")
            if markup and not all(isinstance(text, ast.Constant) for text in call.args):
                problems.append(f"cell {number}: data in {name}; use say")
    if takes_file and count != 1:
        problems.append(f"{count} calls of own_answer, one is needed")
    return problems


CHECKS: tuple[Check, ...] = (
    format_is_valid,
    nothing_is_executed,
    metadata_is_authored,
    tags_are_known,
    parameters_are_complete,
    opens_with_its_answer,
    one_figure_answers,
    bookkeeping_is_folded,
    chapters_are_named,
    seeds_have_names,
    captions_say_what_to_see,
    figures_are_described,
    randomness_is_seeded,
    first_cell_is_for_colab,
    network_is_not_used,
    interfaces_are_current,
    glued_keys_are_published,
    own_data_are_reported,
)
