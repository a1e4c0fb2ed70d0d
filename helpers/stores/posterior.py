"""A structured posterior of the store model: stores normal given the population, as in INLA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from helpers.notebook.claims import NotConverged
from helpers.stores.cells import HALF_WIDTH, Cells

_HALVINGS = 12
_PART = 150  # stores that a first search looks at


@dataclass(frozen=True, eq=False)
class Structured:
    """Normal posterior of the population, and of each store given it; log dispersions come last."""

    cells: Cells
    mean: np.ndarray  # (F + 1,), with log_sd the peak of the population's posterior
    log_sd: np.ndarray
    covariance: np.ndarray  # (2F + 2, 2F + 2), of phi
    beta: np.ndarray  # (S, F + 1), where the stores' likelihoods are expanded
    gradient: np.ndarray  # (S, F + 1)
    precision: np.ndarray  # (S, F + 1, F + 1), their curvatures
    iterations: int

    def given(self, mean: np.ndarray, log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (S, F + 1) and covariances of the stores' posterior, the population known."""
        return _given((self.beta, self.gradient, self.precision), mean, log_sd)

    def sample(self, n_draws: int, *, seed: int) -> dict[str, np.ndarray]:
        """Draw population and stores together, with ``log_density`` under this posterior."""
        rng = np.random.default_rng(seed)
        size = self.mean.size
        n_stores = len(self.beta)
        root = np.linalg.cholesky(self.covariance)
        noise = rng.standard_normal((n_draws, 2 * size))
        phi = np.concatenate([self.mean, self.log_sd]) + noise @ root.T
        log_density = -0.5 * (noise**2).sum(1) - np.log(np.diag(root)).sum()
        log_density -= size * np.log(2 * np.pi) * (1 + n_stores / 2)
        beta = np.empty((n_draws, n_stores, size))
        for k in range(n_draws):
            centre, covariance = self.given(phi[k, :size], phi[k, size:])
            root = np.linalg.cholesky(covariance)
            noise = rng.standard_normal((n_stores, size))
            beta[k] = centre + _times(root, noise)
            log_density[k] -= 0.5 * (noise**2).sum()
            log_density[k] -= np.log(np.diagonal(root, axis1=1, axis2=2)).sum()
        population = {"mean": phi[:, :size], "log_sd": phi[:, size:], "log_density": log_density}
        return {"coef": beta[..., :-1], "dispersion": beta[..., -1]} | population

    def elbo(self, n_draws: int, *, seed: int) -> np.ndarray:
        """Log joint density less log posterior density, by draw; the ELBO is their mean."""
        draws = self.sample(n_draws, seed=seed)
        beta = np.concatenate([draws["coef"], draws["dispersion"][..., None]], axis=-1)
        at = zip(beta, draws["mean"], draws["log_sd"], strict=True)
        return np.array([log_density(self.cells, *one) for one in at]) - draws["log_density"]

    def stores(self, cells: Cells) -> Structured:
        """Fit other stores of the same features, the population kept; few days or none will do."""
        if cells.features != self.cells.features:
            raise ValueError("the stores must have the features of the fitted ones")
        beta = np.broadcast_to(self.mean, (len(cells.n), self.mean.size))
        return replace(self, cells=cells, beta=beta).expanded(self.mean, self.log_sd)

    def expanded(self, mean: np.ndarray, log_sd: np.ndarray) -> Structured:
        """Expand the stores' likelihoods at their peaks under another population."""
        beta, gradient, precision = _step(self.cells, self.beta, mean, log_sd, 100)
        return replace(self, beta=beta, gradient=gradient, precision=precision)


def _times(matrices, vectors):
    return (matrices @ vectors[..., None])[..., 0]


def _given(state, mean, log_sd):
    """Means and covariances of stores given the population, likelihoods expanded at a state."""
    beta, gradient, precision = state
    weight = np.exp(-2 * log_sd)
    covariance = np.linalg.inv(precision + np.diag(weight))
    return _times(covariance, _times(precision, beta) + gradient + weight * mean), covariance


def priors(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Prior means of means, and half-normal scales of sds; the last is the dispersion's."""
    mean, scale = np.zeros(size), np.full(size, 2.0)
    mean[-1], scale[-1] = 4.0, 0.1
    return mean, scale


def log_density(cells: Cells, beta: np.ndarray, mean: np.ndarray, log_sd: np.ndarray) -> float:
    """Log joint density of sales, stores and population, constants included.

    Parameters
    ----------
    cells, beta, mean, log_sd : Cells, array (S, F + 1) and arrays (F + 1,)
        What the stores sold; coefficients and log dispersion by store; the population.

    Returns
    -------
    float
        With standard deviations as logarithms.
    """
    log_two_pi = np.log(2 * np.pi)
    z = (beta - mean) * np.exp(-log_sd)
    value = _values(cells, beta)[0].sum()
    value -= 0.5 * (z**2).sum() + len(beta) * (log_sd.sum() + 0.5 * mean.size * log_two_pi)
    return float(value + _log_prior(mean, log_sd))


def _log_prior(mean, log_sd) -> float:
    prior_mean, scale = priors(mean.size)
    half = np.log(2) - np.log(scale) + log_sd - 0.5 * (np.exp(log_sd) / scale) ** 2
    return (-0.5 * (mean - prior_mean) ** 2 + half).sum() - mean.size * np.log(2 * np.pi)


def _series(h, t):
    """Value, slope and curvature by Clenshaw's recurrence; a straight line outside [-1, 1]."""
    inside = np.clip(t, -1, 1)
    twice = 2 * inside
    b1, b2, s1, s2, c1, c2 = (np.zeros_like(inside) for _ in range(6))
    for k in range(len(h) - 1, 0, -1):
        c1, c2 = twice * c1 - c2 + 4 * s1, c1
        s1, s2 = twice * s1 - s2 + 2 * b1, s1
        b1, b2 = twice * b1 - b2 + h[k], b1
    value = inside * b1 - b2 + h[0]
    slope = inside * s1 - s2 + b1
    curvature = inside * c1 - c2 + 2 * s1
    outside = t != inside
    return value + slope * (t - inside), slope, np.where(outside, 0.0, curvature)


@np.errstate(over="ignore", invalid="ignore")  # a step too far: its value is refused
def _values(cells: Cells, beta: np.ndarray):
    """Log likelihood by store, and its derivatives in predictor and log dispersion by cell."""
    n_calendar = cells.calendar.shape[1]
    eta = beta[:, :n_calendar] @ cells.calendar.T
    eta += (beta[:, n_calendar:-1] * cells.attributes).sum(1, keepdims=True)
    d = beta[:, -1:]
    n, total = cells.n, cells.total
    if cells.family == "nb1":
        u = eta - d
        h, slope, curve = _series(cells.h, (u - cells.centre) / HALF_WIDTH)
        slope, curve = slope / HALF_WIDTH, curve / HALF_WIDTH**2
        alpha, high = n * np.exp(u), expit(d)
        rest = alpha * np.logaddexp(0, d)
        value = (h - rest - total * np.logaddexp(0, -d)).sum(1)
        du, dd = slope - rest, total * (1 - high) - alpha * high
        uu, ud = curve - rest, -alpha * high
        dd2 = -(alpha + total) * high * (1 - high)
        return value, du, (dd - du).sum(1), uu, ud - uu, (uu - 2 * ud + dd2).sum(1)
    series = _series(cells.h, (d - cells.centre) / HALF_WIDTH)
    h, slope, curve = (part[:, 0] / HALF_WIDTH**k for k, part in enumerate(series))
    r, share = np.exp(d), expit(eta - d)
    size = n * r
    rest = size * np.logaddexp(0, eta - d) + total * np.logaddexp(0, d - eta)
    value = h - rest.sum(1)
    both = (size + total) * share * (1 - share)
    de = total - (size + total) * share
    low = size * np.logaddexp(0, eta - d)
    dd = slope + (size * share - low - total * (1 - share)).sum(1)
    dd2 = curve + (2 * size * share - low - both).sum(1)
    return value, de, dd, -both, both - size * share, dd2


def _expand(cells: Cells, beta: np.ndarray):
    """Log likelihood of each store, its gradient and negative curvature in beta."""
    value, de, dd, ee, ed, dd2 = _values(cells, beta)
    x, a = cells.calendar, cells.attributes
    n_stores, size = beta.shape
    j = x.shape[1]
    gradient = np.concatenate([de @ x, de.sum(1, keepdims=True) * a, dd[:, None]], axis=1)
    weight, precision = np.maximum(-ee, 0.0), np.empty((n_stores, size, size))
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), j * j)
    precision[:, :j, :j] = (weight @ pairs).reshape(n_stores, j, j)
    cross = (weight @ x)[:, :, None] * a[:, None, :]
    precision[:, :j, j:-1] = cross
    precision[:, j:-1, :j] = cross.transpose(0, 2, 1)
    precision[:, j:-1, j:-1] = weight.sum(1)[:, None, None] * a[:, :, None] * a[:, None, :]
    border = -np.concatenate([ed @ x, ed.sum(1, keepdims=True) * a], axis=1)
    precision[:, :-1, -1] = precision[:, -1, :-1] = border
    precision[:, -1, -1] = -dd2
    return value, gradient, precision


def newton(cells: Cells, beta, mean, precision, steps: int, *, reach=np.inf) -> np.ndarray:
    """Newton steps to each store's peak under a normal prior, never downhill."""
    mean = np.broadcast_to(mean, beta.shape)

    def target(part, rows, at):
        off = at - mean[rows]
        return _values(part, at)[0] - 0.5 * ((off @ precision) * off).sum(1)

    everyone = np.arange(len(beta))
    value = target(cells, everyone, beta)
    for _ in range(steps):
        _, gradient, curvature = _expand(cells, beta)
        gradient -= (beta - mean) @ precision
        curvature += precision
        # where dispersion and coefficients together are not concave, move them apart
        inner = np.linalg.solve(curvature[:, :-1, :-1], curvature[:, :-1, -1:])[..., 0]
        left = curvature[:, -1, -1] - (inner * curvature[:, :-1, -1]).sum(1)
        odd = left <= 1e-6 * np.abs(curvature[:, -1, -1])
        curvature[odd, :-1, -1] = curvature[odd, -1, :-1] = 0
        curvature[odd, -1, -1] = np.abs(curvature[odd, -1, -1]) + precision[-1, -1]
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        step *= np.minimum(1, reach / np.abs(step).max(1, keepdims=True).clip(1e-12))
        new, rows = beta.copy(), everyone
        for k in range(_HALVINGS):
            part = cells if rows.size == len(beta) else cells.take(rows)
            tried = beta[rows] + step[rows] / 2**k
            after = target(part, rows, tried)
            better = after >= value[rows] - 1e-9 * np.abs(value[rows])
            new[rows[better]], value[rows[better]] = tried[better], after[better]
            rows = rows[~better]
            if not rows.size:
                break
        moved, beta = np.abs(new - beta).max(initial=0.0), new
        if moved < 1e-6:
            break
    return beta


def _step(cells, beta, mean, log_sd, steps=1):
    """Newton steps under a population, and the likelihoods expanded where they end."""
    beta = newton(cells, beta, mean, np.diag(np.exp(-2 * log_sd)), steps)
    return beta, *_expand(cells, beta)[1:]


def _population_terms(state, mean, log_sd):
    """Log density of the population with the stores integrated out, gradient, curvature."""
    beta, gradient, precision = state
    size, n_stores = mean.size, len(beta)
    weight = np.exp(-2 * log_sd)
    root = np.linalg.cholesky(precision + np.diag(weight))
    centre, covariance = _given(state, mean, log_sd)
    off, shift = centre - mean, centre - beta
    value = (shift * (gradient - 0.5 * _times(precision, shift))).sum()
    value -= 0.5 * (weight * off**2).sum() + n_stores * log_sd.sum()
    value -= np.log(np.diagonal(root, axis1=1, axis2=2)).sum()
    square = (off**2 + np.diagonal(covariance, axis1=1, axis2=2)).sum(0)
    prior_mean, scale = priors(size)
    ratio = (np.exp(log_sd) / scale) ** 2
    slope = weight * off.sum(0) - (mean - prior_mean), weight * square - n_stores + 1 - ratio
    summed = covariance.sum(0)
    tilted = (covariance * off[:, None, :]).sum(0)
    both = (covariance * off[:, :, None] * off[:, None, :]).sum(0)
    mm = weight[:, None] * summed * weight - np.diag(n_stores * weight + 1)
    ml = 2 * weight[:, None] * tilted * weight - 2 * np.diag(weight * off.sum(0))
    ll = weight[:, None] * (4 * both + 2 * (covariance**2).sum(0)) * weight
    ll -= np.diag(2 * weight * square + 2 * ratio)
    curvature = np.block([[mm, ml], [ml.T, ll]])
    return value + _log_prior(mean, log_sd), np.concatenate(slope), curvature


def _em_step(state, mean, log_sd, *, diagonal=False):
    """Closed-form update of the population from the stores' posterior, or its mean field."""
    weight, n_stores = np.exp(-2 * log_sd), len(state[0])
    if diagonal:
        centre, variance = state[0], 1 / (np.diagonal(state[2], axis1=1, axis2=2) + weight)
    else:
        centre, covariance = _given(state, mean, log_sd)
        variance = np.diagonal(covariance, axis1=1, axis2=2)
    prior_mean, scale = priors(mean.size)
    mean = (weight * centre.sum(0) + prior_mean) / (n_stores * weight + 1)
    square = ((centre - mean) ** 2 + variance).sum(0)
    # variance v at the peak of -(S - 1) log v / 2 - square / 2v - v / 2 scale^2
    free = (n_stores - 1) / 2
    variance = scale**2 * (np.sqrt(free**2 + square / scale**2) - free)
    return mean, np.log(variance) / 2


def _start(cells: Cells) -> np.ndarray:
    """Ridge regression of each store's cell means, and its moment estimate of dispersion."""
    overall = cells.total.sum() / max(cells.n.sum(), 1.0)
    mean = (cells.total + 0.5) / (cells.n + 0.5 / max(overall, 0.5))
    shape, parts = cells.n.shape, (cells.calendar, cells.attributes[:, None])
    x = np.concatenate([np.broadcast_to(p, (*shape, p.shape[-1])) for p in parts], axis=-1)
    weighted = x * cells.n[..., None]
    gram = weighted.transpose(0, 2, 1) @ x + 0.1 * np.eye(x.shape[-1])
    right = (weighted * np.log(mean)[..., None]).sum(1)
    coef = np.linalg.solve(gram, right[..., None])[..., 0]
    if cells.family == "nb1":
        weight = np.maximum(cells.n, 1e-9)
        d = ((np.log(mean) - cells.centre) * weight).sum(1) / weight.sum(1)
    else:
        d = cells.centre[:, 0]
    return np.concatenate([coef, d[:, None]], axis=1)


def fit_mean_field(cells: Cells, *, steps: int = 10) -> dict[str, np.ndarray]:
    """Variational EM: the mean field of each store, and the population's best point."""
    beta, mean, log_sd = _first(cells)

    def rounds(cells, beta, mean, log_sd, number):
        for _ in range(number):
            state = _step(cells, beta, mean, log_sd)
            beta, (mean, log_sd) = state[0], _em_step(state, mean, log_sd, diagonal=True)
        return beta, mean, log_sd

    few = slice(None, None, max(1, len(beta) // _PART))
    _, mean, log_sd = rounds(cells.take(few), beta[few], mean, log_sd, 4 * steps)
    beta, mean, log_sd = rounds(cells, beta, mean, log_sd, steps)
    beta, _, precision = _step(cells, beta, mean, log_sd)
    curvature = np.diagonal(precision, axis1=1, axis2=2)
    return {"mean": mean, "log_sd": log_sd, "beta": beta, "curvature": curvature}


def _first(cells):
    """Stores and population to start from."""
    beta = _start(cells)
    mean, log_sd = beta.mean(0), np.log(np.maximum(beta.std(0), 0.1))
    mean[-1], log_sd[-1] = np.median(beta[:, -1]), np.log(0.3)
    return beta, mean, log_sd


def fit_structured(cells: Cells, *, max_steps: int = 60, tolerance: float = 0.01) -> Structured:
    """Empirical-Bayes fit of population and stores, from sales to posterior in NumPy.

    Parameters
    ----------
    cells, max_steps, tolerance : Cells, int and float
        Sales; most Newton steps of the population, and the longest last one, in posterior sds.

    Returns
    -------
    Structured
        The posterior; ``NotConverged`` if the steps do not suffice.
    """
    beta, mean, log_sd = _first(cells)
    stride = len(beta) // _PART
    if stride > 1:
        few = slice(None, None, stride)
        _, mean, log_sd, _ = _search(cells.take(few), beta[few], mean, log_sd, 6, max_steps, 0.1)
    em_steps = 1 if stride > 1 else 6
    beta, mean, log_sd, taken = _search(cells, beta, mean, log_sd, em_steps, max_steps, tolerance)
    state = _step(cells, beta, mean, log_sd)
    curvature = _population_terms(state, mean, log_sd)[2]
    eigen, vectors = np.linalg.eigh(-curvature)
    # no direction is vaguer than a standard deviation of two: the priors see to that
    covariance = (vectors / np.maximum(eigen, 0.25)) @ vectors.T
    beta, gradient, precision = state
    return Structured(cells, mean, log_sd, covariance, beta, gradient, precision, taken)


def _search(cells, beta, mean, log_sd, em_steps, max_steps, tolerance):
    """Peak of the population's posterior: closed-form steps, then Newton's."""
    size = mean.size
    for _ in range(em_steps):
        beta, *rest = _step(cells, beta, mean, log_sd)
        mean, log_sd = _em_step((beta, *rest), mean, log_sd)
    damping = 0.0
    for taken in range(1, max_steps + 1):
        state = _step(cells, beta, mean, log_sd)
        beta = state[0]
        value, slope, curvature = _population_terms(state, mean, log_sd)
        eigen, vectors = np.linalg.eigh(-curvature)
        while True:
            bent = np.maximum(np.abs(eigen), 1e-3) + damping * np.abs(eigen).mean()
            step = vectors @ ((vectors.T @ slope) / bent)
            step *= min(1.0, 1.0 / np.abs(step[size:]).max())
            tried = mean + step[:size], log_sd + step[size:]
            if _population_terms(state, *tried)[0] >= value - 1e-9 * abs(value):
                damping = damping / 4 if damping > 1e-4 else 0.0
                break
            damping = max(4 * damping, 1e-3)
            if damping > 1e6:
                raise NotConverged("the search for what the stores share is stuck")
        mean, log_sd = tried
        # in conditional standard deviations, which are never larger than the marginal ones
        if (np.abs(step) * np.sqrt(np.abs(np.diag(curvature)))).max() < tolerance:
            return beta, mean, log_sd, taken
    raise NotConverged(f"what the stores share still moved after {max_steps} steps of the search")
