"""Prints the golden ranks of coordinator/src/slo/confidence.rs. Needs scipy; run by hand, once."""

from scipy.stats import binom

CASES = [(100, 0.5), (1_000, 0.9), (1_000, 0.99), (10_000, 0.99), (10_000, 0.999), (1_000_000, 0.999)]
TAIL = 0.025

for n, q in CASES:
    low = int(binom.ppf(TAIL, n, q))
    while binom.cdf(low, n, q) <= TAIL:
        low += 1
    while low > 0 and binom.cdf(low - 1, n, q) > TAIL:
        low -= 1
    high = int(binom.ppf(1 - TAIL, n, q)) + 1
    while high > 1 and binom.sf(high - 2, n, q) <= TAIL:
        high -= 1
    while binom.sf(high - 1, n, q) > TAIL:
        high += 1
    print(f"({n}, {q}, {low}, {high}),")
