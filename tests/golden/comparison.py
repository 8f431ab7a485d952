"""Prints the golden values of coordinator/src/compare. Needs numpy and scipy; run by hand, once."""

import numpy as np
from scipy.fft import dct
from scipy.stats import t


def congruential(seed, count):
    """Numbers that any language can draw again."""
    numbers = []
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2**31
        numbers.append(seed >> 8)
    return np.array(numbers)


def series():
    """A walk that forgets, of 50 steps, to three digits."""
    level, values = 0.0, []
    for number in congruential(7, 50):
        level = 0.6 * level + (number % 2000) / 1000 - 1
        values.append(round(level, 3))
    return np.array(values)


def dependence(values):
    steps = len(values)
    rho = (values[1:] @ values[:-1] / (values @ values) + 1 / steps) / (1 - 3 / steps)
    rho = min(max(rho, 0), 0.95)
    return 2 * rho / (1 - rho**2)


def variance_of_sum(values):
    steps = len(values)
    longer = min(1, 2.75 / max(dependence(values), 1e-9))
    taken = int(round(0.41 * (steps * longer) ** (2 / 3)))
    return steps * np.mean(dct(values, type=2, norm="ortho")[1 : taken + 1] ** 2)


def block_variance(values, length):
    steps, variance = len(values), 0.0
    twice = np.concatenate([values, values])
    for part in [length] * (steps // length) + [steps % length]:
        variance += np.mean([twice[start : start + part].sum() ** 2 for start in range(steps)])
    return variance


def block_length(values):
    steps = len(values)
    return (1.5 * dependence(values) ** 2 * steps) ** (1 / 3)


def sides(seed, scale):
    """24 steps of 20 values, ns, each step at a level of its own."""
    numbers = congruential(seed, 24 * 20).reshape(24, 20)
    levels = 1 + 0.05 * ((np.arange(24) // 2) % 4)
    return np.floor(scale * levels[:, None] * (1_000_000 + numbers % 1_000_000))


def deviations(steps, quantile, length, rng):
    """Of the logarithm of a quantile, over circular blocks."""
    count, found = len(steps), []
    for _ in range(20_000):
        starts = rng.integers(0, count, size=-(-count // length))
        places = np.concatenate([(start + np.arange(length)) % count for start in starts])[:count]
        found.append(np.log(np.quantile(steps[places], quantile, method="inverted_cdf")))
    return np.std(found)


print("PROBABILITIES", [(x, f, float(2 * t.sf(x, f))) for x, f in [(0.5, 1.0), (2.0, 6.0), (3.43, 12.0), (2.1, 7.35), (9.0, 40.0)]])
print("POINTS", [(p, f, float(t.isf(p / 2, f))) for p, f in [(0.05, 3.0), (0.05, 12.0), (0.005, 12.5), (0.4, 6.0), (0.0001, 80.0)]])
centred = series() - series().mean()
print("SERIES", series().tolist())
print("COSINES", variance_of_sum(centred))
print("BLOCKS", [float(block_variance(centred, length)) for length in (1, 3, 7)])
print("LENGTH", block_length(centred))
rng = np.random.default_rng(5)
for seed, scale in [(1, 1.0), (2, 1.05)]:
    steps = sides(seed, scale)
    for quantile in (0.5, 0.9, 0.95):
        at = np.quantile(steps, quantile, method="inverted_cdf")
        exceeding = (steps > at).sum(axis=1) - 20 * (steps > at).mean()
        errors = [float(deviations(steps, quantile, length, rng)) for length in (1, 2, 4)]
        print(f"SIDE {seed} p{quantile}: {at:.0f}, bootstrap {errors}, exceedances: sum's variance {variance_of_sum(exceeding):.6f}, "
              f"blocks of 2 {block_variance(exceeding, 2):.6f}, length {block_length(exceeding):.3f}")
ps = np.array([0.001, 0.013, 0.011, 0.04, 0.2, 0.009])
order = np.argsort(ps)
adjusted = np.empty(len(ps))
adjusted[order] = np.minimum(1, np.maximum.accumulate(ps[order] * (len(ps) - np.arange(len(ps)))))
print("HOLM", ps.tolist(), adjusted.round(6).tolist())
