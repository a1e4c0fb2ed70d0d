"""A chapter's page: prose as written, outputs as executed, the answer first, plumbing folded."""

from __future__ import annotations

import ast

import nbformat

from helpers.bookmaking.book import has_tag
from helpers.bookmaking.closure import parsed

WORDS_A_MINUTE = 150  # prose with code and formulas between
ANSWER = "-answer"  # ends the name of the figure that answers the chapter's question
CHECKING = {"claim", "key_numbers", "publish"}


def chapter_page(
    authored: nbformat.NotebookNode, executed: nbformat.NotebookNode, seconds: float
) -> nbformat.NotebookNode:
    """Prose and metadata as authored, code and outputs as executed, the answering figure on top."""
    runs = (cell for cell in executed.cells if cell.cell_type == "code")
    add_minutes(authored, seconds)
    answer: list[nbformat.NotebookNode] = []
    cells: list[nbformat.NotebookNode] = []
    for cell in authored.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            run = next(runs)
            cell.update({key: run[key] for key in ("source", "outputs", "execution_count")})
            (answer if answers(cell) else cells).extend(figure_apart(cell))
            name_folded(cell)
    authored.cells = [*cells[:1], *answer, *cells[1:]]
    return authored


def add_minutes(page: nbformat.NotebookNode, seconds: float) -> None:
    """End a chapter's opening prose with the minutes that it takes to read and took to run."""
    texts = (cell.source for cell in page.cells if cell.cell_type == "markdown")
    read = max(1, round(len(" ".join(texts).split()) / WORDS_A_MINUTE))
    run = max(1, round(seconds / 60))
    long = ["1 minute" if n == 1 else f"{n} minutes" for n in (read, run)]
    second = page.cells[1] if page.cells[1].cell_type == "markdown" else page.cells[0]
    second.source += f"\n\n*About {long[0]} to read; it ran in {long[1]}.*"


def figure_of(cell: nbformat.NotebookNode) -> dict[str, str]:
    """Name and caption of the figure that a cell draws; empty if it draws none."""
    return cell.metadata.get("mystnb", {}).get("figure", {})


def answers(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell draws the figure that answers the chapter's question."""
    return figure_of(cell).get("name", "").endswith(ANSWER)


def figure_apart(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Move the figure of a cell with more outputs to a cell of its own, which is returned.

    MyST-NB would give the figure's name and caption to every one of the outputs. The answering
    figure always moves, for it is shown elsewhere.
    """
    images = [output for output in cell.outputs if is_image(output)]
    answer = answers(cell)
    if not (figure_of(cell) and images) or (len(images) == len(cell.outputs) and not answer):
        return []
    cell.outputs = [output for output in cell.outputs if not is_image(output)]
    hidden = not answer and (has_tag(cell, "hide-cell") or has_tag(cell, "hide-output"))
    tags = ["remove-input", "hide-output"] if hidden else ["remove-input"]
    metadata = {"mystnb": cell.metadata.pop("mystnb"), "tags": tags}
    source = f"# figure of cell {cell.id}"  # a cell without source would not be rendered
    name = f"{cell.id[:57]}-figure"  # the format allows 64 characters
    return [nbformat.v4.new_code_cell(source, id=name, metadata=metadata, outputs=images)]


def is_image(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a picture."""
    return any(mime.startswith("image/") for mime in output.get("data", {}))


def name_folded(cell: nbformat.NotebookNode) -> None:
    """Say on a folded cell's handle what is folded there."""
    if has_tag(cell, "hide-input"):
        name = folded(cell)
        prompts = {"code_prompt_show": name, "code_prompt_hide": name}
        cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | prompts


def folded(cell: nbformat.NotebookNode) -> str:
    """What a folded cell holds, in a word or two."""
    if has_tag(cell, "parameters"):
        return "Parameters"
    tree = parsed(cell.source)
    imports = [s for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom)]
    if 2 * len(imports) > len(tree.body):
        return "Imports"
    called = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    if CHECKING & {*called}:
        return "Checks and numbers"
    return "Code of the figure" if figure_of(cell) else "Show the code"
