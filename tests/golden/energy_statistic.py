"""Prints the golden statistics of coordinator/src/trend/edivisive. Needs numpy and scipy; run by hand, once.

Straight from the definition (Matteson, James 2014, with alpha = 1): means over all pairs, no shortcut.
"""

import numpy as np
from scipy import stats

SEGMENT_MIN = 3
SERIES = {
    "STEP": [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.3, 12.1, 11.9, 12.0, 12.2, 11.8],
    "TIES": [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 2.0, 1.0, 2.0],
    "NOISE": [3.1, -0.4, 2.2, 1.7, 0.3, 2.9, 1.1, 0.8, -1.6, 1.9, 0.5],
}


def among(side):
    distances = np.abs(side[:, None] - side[None, :])
    return distances[np.triu_indices(len(side), 1)].mean()


def energy(values, at):
    x, y = values[:at], values[at:]
    between = np.abs(x[:, None] - y[None, :]).mean()
    return len(x) * len(y) / len(values) * (2 * between - among(x) - among(y))


for name, series in SERIES.items():
    values = np.array(series)
    found = [(at, float(energy(values, at))) for at in range(SEGMENT_MIN, len(values) - SEGMENT_MIN + 1)]
    print(f"const {name}: {[f'({at}, {value:.12f})' for at, value in found]}")

step = np.array(SERIES["STEP"])
t = stats.ttest_ind(step[:7], step[7:])
print(f"t-test of STEP at 7: {t.pvalue:.12e}")
noise = np.array(SERIES["NOISE"])
print(f"t-test of NOISE at 6: {stats.ttest_ind(noise[:6], noise[6:]).pvalue:.12f}")
rho, n = 0.3, 3
covariance = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
print(f"variance of a mean of 3 at 0.3: {covariance.sum() / n**2:.12f}")
