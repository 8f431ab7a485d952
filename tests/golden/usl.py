"""Prints the golden fits of coordinator/src/capacity/usl.rs. Needs scipy; run by hand, once."""

import numpy as np
from scipy.optimize import curve_fit


def usl(n, lam, sigma, kappa):
    return lam * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


N = np.array([1.0, 2, 4, 8, 16, 32, 48, 64])
NOISE = np.array([1.010, 0.985, 1.005, 0.992, 1.013, 0.996, 1.008, 0.994])
CASES = {
    "rounded": (N, np.round(usl(N, 995.0, 0.02, 0.0005), 3)),
    "noisy": (N, np.round(usl(N, 995.0, 0.02, 0.0005) * NOISE, 3)),
    "contention alone": (N, np.round(usl(N, 120.0, 0.05, 0.0) * NOISE[::-1], 3)),
    "linear": (N, np.round(usl(N, 50.0, 0.0, 0.0) * (1 + np.array([1, -1, 1, -1, 1, -1, -1, 1]) * 0.01), 3)),
    "below one": (N / 10, np.round(usl(N / 10, 400.0, 0.1, 0.02) * NOISE, 3)),
}
STARTS = [(0.1, 0.01), (0.01, 0.001), (0.5, 0.1), (1e-4, 1e-6)]

for name, (n, x) in CASES.items():
    fits = []
    for sigma, kappa in STARTS:
        p, _ = curve_fit(
            usl, n, x, p0=(x[0] / n[0], sigma, kappa), bounds=(0, np.inf), x_scale=(100, 0.01, 0.001),
            ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=100_000,
        )
        fits.append((np.sum((usl(n, *p) - x) ** 2), tuple(p)))
    squares, p = min(fits)
    r2 = 1 - squares / np.sum((x - x.mean()) ** 2)
    print(f"// {name}")
    print("points", ", ".join(f"({a:g}, {b:.3f})" for a, b in zip(n, x)))
    print(f"lambda {p[0]:.8f} sigma {p[1]:.10f} kappa {p[2]:.12f} r2 {r2:.9f} squares {squares:.9f}")
