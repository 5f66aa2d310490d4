"""The demo over several seeds: what each method gains on held-out problems, and how surely.

Every seed draws other training problems, other samples and another order of training; the held-out
problems are the same 1,000. Takes about as long as so many demos; goes on where it was stopped.
The last line is a JSON object: per method the gain of every seed in points with its paired p-value,
the mean gain, and the mean gap to SIGMA.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean

from whorl.cli.display import Display
from whorl.compare.demo import FULL, METHODS, SMOKE, play_demo
from whorl.compare.findings import figures_of_seed
from whorl.evaluate import pass_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo-gain"), help="folder to write")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="small demos")
    options = parser.parse_args()
    size = SMOKE if options.smoke else FULL
    options.run.mkdir(parents=True, exist_ok=True)
    demos = [
        play_demo(options.run / f"seed-{seed}", size, Display(), seed=seed)
        for seed in range(options.seeds)
    ]
    found: dict[str, object] = {"problems": size.test, "seeds": options.seeds}
    found["base"] = pass_rate(demos[0].base[0], 1).value
    sigma = 0.0
    for number, method in enumerate(METHODS):
        changes = [figures_of_seed(demo, demo.results[number]).against_base for demo in demos]
        gains = [change.difference.value for change in changes]
        sigma = fmean(gains) if number == 0 else sigma
        found[method.name] = {
            "gain_points": [round(100 * gain, 1) for gain in gains],
            "p_values": [change.p_value for change in changes],
            "mean_gain_points": round(100 * fmean(gains), 1),
            "mean_minus_sigma_points": round(100 * (fmean(gains) - sigma), 1),
            "examples": [demo.results[number].last.point.examples for demo in demos],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
