"""The models of two cities are sampled, and what `make bench` measured meets its targets."""

from __future__ import annotations

import json

import cities
import pytest

from helpers.bookmaking.cli import CHECKOUT


@pytest.fixture(scope="module")
def ways():
    record = json.loads((CHECKOUT / "book" / "performance_cities.json").read_text())
    return {(way["way"], way["days"]): way for way in record["ways"]}


def test_every_way_was_measured(ways):
    assert {way for way, days in ways if days == cities.DAYS} == {*cities.WAYS}
    assert ("shared_shocks_numba", cities.GROWTH * cities.DAYS) in ways


def test_ours_may_be_read(ways):
    ours = ways["shared_shocks_numba", cities.DAYS]
    assert ours["divergences"] == 0
    assert ours["rhat"] <= 1.01
    assert min(ours["ess_bulk"], ours["ess_tail"]) >= 400


def test_another_data_set_needs_no_compilation(ways):
    again = ways["shared_shocks_again", cities.DAYS]
    first = ways["shared_shocks_numba", cities.DAYS]
    assert again["refit"]
    assert again["compile_seconds"] < 0.1 * first["compile_seconds"]


def test_ten_times_the_days_take_less_than_ten_times_the_time(ways):
    ours = ways["shared_shocks_numba", cities.DAYS]
    longer = ways["shared_shocks_numba", 10 * cities.DAYS]
    assert longer["seconds"] < 10 * ours["seconds"]
    assert longer["peak_mb"] < 2 * ours["peak_mb"]


def test_the_posts_model_is_sampled():
    row = cities.record("as_in_the_post", 550, 20)
    assert row["draws"] == 80 and row["days"] == 550
    assert row["compile_seconds"] < row["seconds"]


def test_the_walk_is_shared():
    series = cities.market(550)
    with_walk = cities.forum_model(series, walk=True)
    assert with_walk["walk"].eval().shape == (550,)
    point = with_walk.initial_point()
    moved = {**point, "walk": point["walk"] + 1}
    mean = with_walk.compile_fn(
        with_walk.replace_rvs_by_values([with_walk["mu_city_a"], with_walk["mu_city_b"]]),
        inputs=with_walk.value_vars,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    for before, after in zip(mean(point), mean(moved), strict=True):
        assert after - before == pytest.approx(1)
