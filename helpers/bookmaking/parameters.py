"""What each parameter of a chapter on own data is, and the one place that checks a value."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from helpers.bookmaking.book import UsageError


@dataclass(frozen=True)
class Parameter:
    """A parameter's meaning and what it may be."""

    about: str
    kind: str  # what is wanted, in words
    parse: Callable[[str], Any]  # of the text on the command line; a ValueError: not of this kind
    optional: bool = False  # "none" leaves it to the chapter
    needed: bool = False  # no default would fit a reader's file
    assumed: bool = False  # the book's value stands for a choice that is the reader's
    study: bool = False  # of the book's own study: without effect on a file


def number(about: str, low: float, high: float = 1e300, **flags: bool) -> Parameter:
    """Describe a number above `low`, at most `high`."""

    def parse(text: str) -> float:
        if not low < (value := float(text)) <= high:
            raise ValueError
        return value

    to = f" and at most {high:g}" * (high < 1e300)
    return Parameter(about, f"a number above {low:g}{to}", parse, **flags)


def whole(about: str, low: int = 1, high: int = 10**7, **flags: bool) -> Parameter:
    """Describe a count."""

    def parse(text: str) -> int:
        if not low <= (value := int(float(text))) <= high or value != float(text):
            raise ValueError
        return value

    return Parameter(about, f"a whole number from {low:,} to {high:,}", parse, **flags)


def names(about: str, count: int | None = None, **flags: bool) -> Parameter:
    """Describe names, with commas between or as a list; so many different ones if counted."""

    def parse(text: str) -> list[str]:  # as they are written: NO is no truth value, 007 no number
        text = text.strip()
        if text[:1] in ("[", "'", '"'):
            given = yaml.load(text if text[0] == "[" else f"[{text}]", Loader=yaml.BaseLoader)
        else:
            given = [part.strip() for part in text.split(",") if part.strip()]
        if not all(isinstance(name, str) and name for name in given):
            raise ValueError
        if len(set(given)) < len(given) or count not in (None, len(given)):
            raise ValueError
        return given

    kind = "different names, with commas between them or as a list, [a, b]"
    return Parameter(about, f"two {kind}" if count else kind, parse, **flags)


def column(about: str) -> Parameter:
    """Describe the name of a column."""

    def parse(text: str) -> str:
        (name,) = names("").parse(text) if text.strip()[:1] in ("'", '"') else [text.strip()]
        if not name:
            raise ValueError
        return name

    return Parameter(f"column of your file: {about}", "a name", parse)


def choice(about: str, *values: Any) -> Parameter:
    """Describe a choice; capitals do not matter."""

    def parse(text: str) -> Any:
        return {str(value).lower(): value for value in values}[text.strip().lower()]

    return Parameter(about, f"one of {', '.join(map(str, values))}", parse)


def _prices(text: str) -> list[float]:
    low, high = map(number("", 0).parse, text.strip(" []()").split(","))
    if low >= high:
        raise ValueError
    return [low, high]


def _study(text: str, chapter: str = "", about: str = "a size of the book's own study", **flags):
    entry = Parameter(about, "a number", yaml.safe_load, study=True, **flags)
    return {chapter + name: entry for name in text.split()}


DRAWN = "draws of each chain"
SPEND = "columns of your file: spend, one a medium"
CONTROLS = "columns of your file: what else moves sales, as holidays or prices"
WORKS = whole("periods over which a unit of spend works", 1, 400)
#: What stands in for a default of the book on a reader's file.
OWN = {"ENFORCE_CLAIMS": "sampler"}
#: By name; where a chapter means something else by it, by chapter and name.
TABLE: dict[str, Parameter] = {
    "DRAWS": whole(f"{DRAWN} that are kept", 20, 100_000),
    "TUNE": whole(f"{DRAWN} before those that are kept", 20, 100_000),
    "CHAINS": whole("chains that are compared", 2, 64),
    "SEED": whole("what all randomness derives from", 0, 2**32 - 1),
    "ENFORCE_CLAIMS": choice(
        "sampler: one that has not passed gives no estimates; False: they are shown all the same",
        *("sampler", False, True),
    ),
    "PRIOR_DRAWS": whole("draws of what the prior says", 20, 100_000),
    "CITIES": names("the two cities, if the file holds more", 2, optional=True),
    "SCALE": choice("effects as shares of sales (log) or in units of sales", "log", "level"),
    "MARGIN_EUR": number("what a unit sold earns you", 0, assumed=True),
    "COST_EUR": number("what a day of a campaign in one city costs you", 0, assumed=True),
    "UNIT_COST_EUR": number("what a unit costs you, in the currency of price", 0, needed=True),
    "QUANTITY_UNIT": number("units in one unit of quantity, 1 if not given", 0, optional=True),
    "PRICE_BOUNDS": Parameter(
        "the lowest and highest price you would set, those in the file if not given",
        *("two prices, the lower first, as in [0.9, 1.4]", _prices, True),
    ),
    "NEW_INCOME": number("income of a new region, the middle if not given", 0, optional=True),
    "multilevel-elasticities N_LEFT_OUT": whole("largest regions, left out in turn", 1, 60),
    "DATE": column("the week or day"),
    "TARGET": column("sales, or what else media should move"),
    "CHANNELS": names(SPEND, needed=True),
    "CONTROLS": names(CONTROLS),
    "HELD_OUT": whole("last periods, kept for the test and the budget", 4, 10_000),
    "L_MAX": WORKS,
    "MAX_LAG": WORKS,
    "YEARLY_MODES": whole("waves of the yearly season, 0 for none", 0, 26),
    "BUDGET_CHANGE": number("share by which a channel's spend may change", 0, 1),
    "TARGET_ACCEPT": number("care of the sampler: more is slower, diverges less", 0.5, 0.999),
    "N_FOLDS": whole("times that the last periods are held out", 1, 20),
    "FOLD_PERIODS": whole("periods that are held out each time", 2, 10_000),
    "MEAN_RETURN": number("return on a unit of spend that you expect", 0, assumed=True),
    "DRIFT_SD": number("drift of the baseline in a period, in logarithms", 0, 1),
    "what-to-believe-in-a-media-mix-model STUDY_DRAWS": whole(
        f"{DRAWN} of each check, kept and before", 20, 100_000
    ),
    "what-to-believe-in-a-media-mix-model N_PLACEBOS": whole("channels that are tried as placebos"),
    "N_SHIFTS": whole("shifts in time that are tried as placebos"),
    "BACKEND": choice("compiler: jax is done sooner and runs slower", "numba", "jax"),
    "hierarchical-markets CHANNELS": names(SPEND),
    "GLOBAL_CHANNELS": names("channels with one effect in all markets, [] for none", assumed=True),
    "DATE_COLUMN": column("the first day of the period"),
    "MARKET_COLUMN": column("the market"),
    "TARGET_COLUMN": column("sales"),
    "CONTROL_COLUMNS": names(CONTROLS),
    "N_STORES": whole("stores of Kaggle's data that are used", 2),
    "N_DAYS": whole("days of Kaggle's data that are used", 14),
    "N_HELD_OUT": whole("last days, kept for the test", 7, 10_000),
    "FORECAST_DRAWS": whole("draws of each forecast", 20),
    "N_NEW": whole("stores that count as new"),
    "N_AHEAD": whole("days to predict", 7, 10_000),
    "N_PREDICTIVE": whole("draws of each forecast", 20),
    "MISSED_SALE_COST": number("margin lost with a unit that was not there", 0, assumed=True),
    "WRITE_OFF_COST": number("what a unit that is left over costs", 0, assumed=True),
    "MEMORY_GB": number("memory of the machine that you think of", 0),
    **_study("N_REPLICATES N_SIMULTANEOUS N_DRIFTING N_TWO_STEP N_PLACEBOS N_PLACEMENTS LONGER"),
    **_study("STUDY_DRAWS N_REGRESSED KEEP_RECORD"),
    **_study("N_REGIONS N_WEEKS N_LEFT_OUT N_MARKETS N_CHASING N_WEAK N_TWINS STUDY_DEPTH"),
    **_study("N_PANELS N_HURT N_TRAIN PLAIN_EPOCHS SCHEDULE_STEPS N_TRIES N_NUTS N_TRUTH"),
    **_study("N_STUDY N_SHELVES RUNG_DRAWS LIFT_ERROR FAST_STEPS N_PARTICLES STEPS CHUNK N_TIMED"),
    **_study("N_PLAIN LARGEST N_SIZES GPU_FLOOR_MS N_CHAINS"),
    **_study("CLUSTER", about="address of a Dask scheduler", optional=True),
    **_study("N_DAYS PRIOR_DRAWS", "shocks-both-cities-share "),
    **_study("N_DAYS", "what-the-ads-did "),
    **_study("PRIOR_DRAWS", "multilevel-elasticities "),
    **_study("N_STORES", "new-regions-and-best-prices "),
    **_study("FOLD_DRAWS N_FOLDS", "media-mix-case-study "),
    **_study("DRAWS TUNE CHAINS", "a-thousand-stores "),
    **_study("DRAWS TUNE CHAINS", "new-stores "),
    **_study("DRAWS TUNE CHAINS", "beyond-one-machine "),
}


def parameter(chapter: str, name: str) -> Parameter:
    """Find what a chapter means by a name; one that is in no table is as the chapter takes it."""
    as_written = Parameter("", "YAML", yaml.safe_load)
    return TABLE.get(f"{chapter} {name}", TABLE.get(name, as_written))


def defaults(known: Mapping[str, ast.expr]) -> dict[str, Any]:
    """Values that a chapter has on a reader's file unless told."""
    return {name: OWN.get(name, ast.literal_eval(value)) for name, value in known.items()}


def checked(
    chapter: str, known: Mapping[str, ast.expr], assignments: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """All values, with those of `NAME=VALUE` texts, and what the reader should hear of them."""
    given: dict[str, Any] = {}
    said = []
    for text in assignments:
        name, equals, written = text.partition("=")
        if not (equals and name.isidentifier()):
            raise UsageError(f"{text} is not NAME=VALUE")
        if name == "DATA_PATH" or name in given:
            why = "given twice" if name in given else "name your file with --data"
            raise UsageError(f"{name}: {why}")
        if name not in known:
            near = get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {near[0]}?" if near else "`market-book list` shows those it has"
            raise UsageError(f"{name}: {chapter} has no such parameter; {hint}")
        given[name] = value_of(name, parameter(chapter, name), written)
        if parameter(chapter, name).study:
            said.append(f"{name} is of the book's own study and changes nothing on your file.")
    values = defaults(known)
    for name in [name for name in values if name not in given]:
        entry, value = parameter(chapter, name), values[name]
        if entry.needed:
            raise UsageError(f"{name}: not given; say {entry.about}, as in -p {name}=…")
        if name == "GLOBAL_CHANNELS":  # the book's own say nothing of a reader's
            value = values[name] = [c for c in value if c in given.get("CHANNELS", value)]
        if entry.assumed and value:
            said.append(f"{name} was not given: {value} is taken ({entry.about}).")
    values |= given
    if extra := [c for c in values.get("GLOBAL_CHANNELS", ()) if c not in values["CHANNELS"]]:
        raise UsageError(f"GLOBAL_CHANNELS: {extra[0]} is none of the CHANNELS")
    return values, said


def value_of(name: str, entry: Parameter, written: str) -> Any:
    """Value of a text, or one line on what is wanted instead."""
    if entry.optional and written.strip().lower() in ("", "none", "null"):
        return None
    try:
        return entry.parse(written)
    except (ValueError, KeyError, OverflowError, yaml.YAMLError):
        problem = f" is not {entry.kind}"
    if re.fullmatch(r"\s*-?\d+,\d+\s*", written) and "number" in entry.kind:
        problem = f": a number is wanted, write {written.strip().replace(',', '.')}"
    raise UsageError(f"{name}={written}{problem} ({entry.about})")


def described(chapter: str, known: Mapping[str, ast.expr]) -> list[str]:
    """Lines on the parameters that matter to a reader's file."""
    lines, study = [], []
    for name, value in defaults(known).items():
        entry = parameter(chapter, name)
        if entry.study:
            study.append(name)
        elif name != "DATA_PATH":
            default = "must be given" if entry.needed else f"{value!r} unless given"
            lines += [f"    {name}: {entry.about}", f"        {entry.kind}; {default}"]
    return [*lines, f"    of the book's own study: {', '.join(study)}"] if study else lines
