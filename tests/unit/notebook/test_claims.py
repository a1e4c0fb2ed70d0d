"""Claims, published numbers and tables, as a notebook would show them."""

import re
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers.notebook import claims as notebook
from helpers.notebook.claims import (
    INTERVAL,
    ClaimError,
    Claims,
    interval,
    key_numbers,
    mean_interval,
    publish,
    versions,
)


@pytest.fixture(autouse=True)
def nothing_published(monkeypatch):
    monkeypatch.setattr(notebook, "_published", {})


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def shown(function, *args, **kwargs):
    with capture_output() as captured:
        function(*args, **kwargs)
    assert captured.stderr == ""
    return captured.outputs


def test_interval_is_equal_tailed_along_the_axis_asked():
    draws = np.random.default_rng(0).gamma(2.0, size=(4000, 3))
    lower, upper = interval(draws)
    np.testing.assert_allclose((draws < lower).mean(axis=0), (1 - INTERVAL) / 2, atol=1e-3)
    np.testing.assert_allclose((draws > upper).mean(axis=0), (1 - INTERVAL) / 2, atol=1e-3)
    np.testing.assert_array_equal(interval(draws.T, axis=1), (lower, upper))


def test_mean_interval_stacks_mean_and_bounds():
    draws = np.random.default_rng(0).normal(size=(5, 400))
    estimate = mean_interval(draws, axis=1)
    assert estimate.shape == (3, 5)
    np.testing.assert_array_equal(estimate[0], draws.mean(axis=1))
    np.testing.assert_array_equal(estimate[1:], interval(draws, axis=1))


@pytest.mark.parametrize("true", [True, np.bool_(True)])
def test_a_true_claim_shows_one_line(shell, true):
    (output,) = shown(Claims(True), true, "lift < 60 & above 50")
    assert output.data["text/plain"] == "✓ lift < 60 & above 50"
    assert "✓ lift &lt; 60 &amp; above 50" in output.data["text/html"]


def test_a_false_claim_raises_where_enforced(shell):
    with pytest.raises(ClaimError, match="bias is 3"):
        Claims(True)(np.bool_(False), "bias is 3")


def test_a_false_claim_is_shown_where_not_enforced(shell):
    (output,) = shown(Claims(False), False, "bias is 3")
    assert output.data["text/plain"] == "✗ bias is 3"


@pytest.mark.parametrize("condition", [1, None, "yes", np.array([True]), np.array(True), 0.0])
@pytest.mark.parametrize("enforce", [True, False])
def test_a_claim_is_one_bool(condition, enforce):
    with pytest.raises(TypeError, match=r"a claim is one bool, not \w+; reduce it with"):
        Claims(enforce)(condition, "never shown")


def test_publish_glues_as_myst_nb_does(shell):
    myst_nb = pytest.importorskip("myst_nb")
    text = "it's 58 ± 3"
    (ours,) = shown(publish, "lift", text)
    (theirs,) = shown(myst_nb.glue, "lift", text, display=False)
    assert ours.data == theirs.data
    assert ours.metadata == theirs.metadata


def test_publish_says_the_same_once(shell):
    assert len(shown(publish, "lift", "58")) == 1
    assert shown(publish, "lift", "58") == []


def run_cell(code, filename):
    exec(compile(code, filename, "exec"), {"__name__": "__main__", "publish": publish})


def test_publish_refuses_another_text_from_another_cell():
    run_cell("publish('lift', '58')", "cell-1")
    with pytest.raises(ValueError, match="lift: already published as '58', now '59'; choose an"):
        run_cell("publish('lift', '59')", "cell-2")


def test_a_cell_that_runs_again_may_change_its_text(shell):
    run_cell("publish('lift', '58')", "cell-1")
    (output,) = shown(run_cell, "publish('lift', '59')", "cell-1")
    assert list(output.data.values()) == ["'59'"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (58.3, TypeError, "lift: publish a formatted string, not float"),
        (np.float64(58.3), TypeError, "lift: publish a formatted string, not float64"),
        (" ", ValueError, "lift: the text is empty"),
    ],
)
def test_publish_refuses(text, error, message):
    with pytest.raises(error, match=re.escape(message)):
        publish("lift", text)


def test_key_numbers_publishes_each_and_shows_a_table(shell):
    numbers = {"lift": ("Lift in A & B", "58"), "bias": ("Bias", "-2")}
    *glued, table = shown(key_numbers, numbers, caption="What we found")
    assert [output.metadata["scrapbook"]["name"] for output in glued] == ["lift", "bias"]
    html = table.data["text/html"]
    assert "<caption>What we found</caption>" in html
    assert '<th scope="row">Lift in A &amp; B</th><td>58</td>' in html
    assert table.data["text/plain"].splitlines()[1:] == ["Lift in A & B  58", "Bias           -2"]


def test_key_numbers_refuses_one_label_twice():
    with pytest.raises(ValueError, match="two key numbers carry one label; give each its own"):
        key_numbers({"a": ("Lift", "58"), "b": ("Lift", "59")})


def test_versions_shows_what_is_installed(shell):
    (output,) = shown(versions, "numpy")
    assert f'<th scope="row">numpy</th><td>{np.__version__}</td>' in output.data["text/html"]
    with pytest.raises(PackageNotFoundError):
        versions("no-such-package")
