"""Numbers for packages/eval/src/statistics: numpy resamples with given draws, scipy draws its own.

    python reference/eval/bootstrap.py packages/eval/src/__vectors__/bootstrap.json
"""

import json
import sys

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(20)
S, Q, R = 3, 40, 60
skill = rng.normal(0, 0.5, S)[:, None]
hard = rng.normal(0, 1.0, Q)[None, :]
a = (skill + hard + rng.logistic(size=(S, Q)) + 0.6 > 0).astype(int)
b = (skill + hard + rng.logistic(size=(S, Q)) > 0).astype(int)
seeds = rng.integers(0, S, (R, S))
questions = rng.integers(0, Q, (R, Q))


def resampled(values):
    return np.array([values[np.ix_(s, q)].mean() for s, q in zip(seeds, questions)])


def p_value(means):
    return min(1.0, 2 * (min((means <= 0).sum(), (means >= 0).sum()) + 1) / (R + 1))


difference = a - b
one = a[:1]  # a single seed: the ordinary bootstrap over questions, which scipy has
ordinary = stats.bootstrap(
    (one[0],), np.mean, n_resamples=200_000, method="percentile", rng=np.random.default_rng(1), batch=10_000
).confidence_interval
paired = stats.bootstrap(
    (difference[0],), np.mean, n_resamples=200_000, method="percentile", rng=np.random.default_rng(2), batch=10_000
).confidence_interval
both = resampled(difference)
# The first 15 questions against the other 25, with the draws' remainders and the same seeds.
first, second = difference[:, :15], difference[:, 15:]
gaps = np.array(
    [
        first[np.ix_(s, q[:15] % 15)].mean() - second[np.ix_(s, q[15:] % 25)].mean()
        for s, q in zip(seeds, questions)
    ]
)

# Many seeds and questions, standard error by the two-way analysis of variance of a balanced layout without replication.
S2, Q2 = 20, 200
big = np.round(rng.normal(0, 0.3, (S2, 1)) + rng.normal(0, 1.0, (1, Q2)) + rng.normal(0, 0.5, (S2, Q2)), 2)
rows, columns, mean = big.mean(1), big.mean(0), big.mean()
ms_seed = Q2 * ((rows - mean) ** 2).sum() / (S2 - 1)
ms_question = S2 * ((columns - mean) ** 2).sum() / (Q2 - 1)
residual = big - rows[:, None] - columns[None, :] + mean
ms_error = (residual**2).sum() / ((S2 - 1) * (Q2 - 1))
standard_error = float(np.sqrt((ms_seed + ms_question - ms_error) / (S2 * Q2)))

p = [0.012, 0.001, 0.04, 0.03, 0.6]
order = np.argsort(p)
holm = np.empty(len(p))
holm[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * np.array(p)[order]))

json.dump(
    {
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
        "a": a.tolist(),
        "b": b.tolist(),
        "seeds": seeds.ravel().tolist(),
        "questions": questions.ravel().tolist(),
        "resamples": R,
        "means": resampled(a).tolist(),
        "interval": [float(a.mean()), *np.quantile(resampled(a), [0.025, 0.975]).tolist()],
        "difference": [float(difference.mean()), *np.quantile(both, [0.025, 0.975]).tolist(), float(p_value(both))],
        "gap": [
            float(first.mean() - second.mean()),
            *np.quantile(gaps, [0.025, 0.975]).tolist(),
            float(p_value(gaps)),
        ],
        "scipy_one_seed": [float(ordinary.low), float(ordinary.high)],
        "scipy_paired_one_seed": [float(paired.low), float(paired.high)],
        "crossed": {"values": big.tolist(), "standard_error": standard_error},
        "p": p,
        "holm": holm.tolist(),
    },
    open(sys.argv[1], "w"),
)
