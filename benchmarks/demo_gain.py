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
from whorl.compare.demo import FULL, METHODS, SMOKE, as_mapping, run_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo-gain"), help="folder to write")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="small demos")
    options = parser.parse_args()
    size = SMOKE if options.smoke else FULL
    options.run.mkdir(parents=True, exist_ok=True)
    outcomes = [
        run_demo(options.run / f"seed-{seed}", size, Display(), seed=seed)
        for seed in range(options.seeds)
    ]
    found: dict[str, object] = {"problems": size.test, "seeds": options.seeds}
    found["base"] = as_mapping(outcomes[0])["base_accuracy"]
    first = [outcome.results[0].against.difference.value for outcome in outcomes]
    for number, method in enumerate(METHODS):
        changes = [outcome.results[number].against for outcome in outcomes]
        gains = [change.difference.value for change in changes]
        found[method.name] = {
            "gain_points": [round(100 * gain, 1) for gain in gains],
            "p_values": [change.p_value for change in changes],
            "mean_gain_points": round(100 * fmean(gains), 1),
            "mean_minus_sigma_points": round(100 * (fmean(gains) - fmean(first)), 1),
            "examples": [outcome.results[number].examples for outcome in outcomes],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
