"""Prints the golden bounds of coordinator/src/capacity/judge/tests.rs. Needs scipy; run by hand, once."""

from scipy.stats import beta

for count, samples, effective in [(0, 1000, 1000), (10, 1000, 1000), (10, 1000, 500), (1000, 1000, 1000)]:
    k = effective * count / samples
    low = beta.ppf(0.025, k, effective - k + 1) if k > 0 else 0.0
    high = beta.ppf(0.975, k + 1, effective - k) if k < effective else 1.0
    print(f"({count}, {samples}, {effective}, {float(low)!r}, {float(high)!r}),")
