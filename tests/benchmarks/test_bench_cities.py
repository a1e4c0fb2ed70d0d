"""The forum's models of two cities are sampled."""

from __future__ import annotations

import cities
import pytest


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
