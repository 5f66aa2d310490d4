"""Evaluation of the shipped policy: seconds for 1,000 made-up test problems with 8 samples each.

The whole of `whorl evaluate`, loading the model, judging and writing every text included, with a
process per core. The last line is a JSON object: seconds, the processor's seconds in all processes
(shared out over as many idle cores that is what it takes on a quiet machine), attempts and sampled
tokens per second, what summing up took, pass@1 with its 95 % interval, pass@8 and maj@8, and the
load that the machine was under before.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from whorl.cli.display import Display
from whorl.cli.results import print_summary
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines, Opened
from whorl.evaluate import Decoding, Place, Setup, read_records, sensible_ks, summarise
from whorl.evaluate.exam import Exam, measure
from whorl.models import POLICY


def processor_seconds() -> float:
    """Of this process and its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    decoding = Decoding(options.samples, options.temperature, top_p=0.95, max_tokens=256)
    with TemporaryDirectory() as folder:
        test, out = Path(folder) / "test.jsonl", Path(folder) / "scores.jsonl"
        write_problems(test, problems("test", options.problems, seed=1))
        engines = Engines(f"local:{POLICY}", processes=options.processes)
        load = os.getloadavg()[0]
        start = time.monotonic()
        with Opened(engines) as opened:
            scores = measure(opened, Exam(test, Setup(decoding=decoding)), Display(), out=out)
        seconds, cpu = time.monotonic() - start, processor_seconds()
        start = time.monotonic()
        summary = summarise(scores, ks=sensible_ks(options.samples))
        summing = time.monotonic() - start
        tokens = sum(a.tokens for r in read_records(Place(out).attempts) for a in r.attempts)
    if not options.json:
        print_summary(summary, None)
    first, last = summary.passed[1], max(summary.passed)
    found = {
        "problems": summary.problems,
        "samples": options.samples,
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu, 1),
        "attempts_per_s": round(summary.attempts / seconds, 1),
        "tokens_per_s": round(tokens / seconds),
        "summary_s": round(summing, 2),
        "pass@1": [round(value, 4) for value in (first.value, first.low, first.high)],
        f"pass@{last}": round(summary.passed[last].value, 4),
        **{f"maj@{k}": round(rate.value, 4) for k, rate in summary.majority.items() if k == last},
        "processes": options.processes,
        "load_before": round(load, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
