"""How long lm-evaluation-harness bootstraps the same scores; run by `make bench` in its own venv.

Its default is 100,000 resamples. A part of them is timed and the whole is extrapolated, and said
to be: the whole takes about ten minutes for one estimate.
"""

import json
import sys
from pathlib import Path
from time import perf_counter

from lm_eval.api.metrics import bootstrap_stderr, mean

WHOLE = 100_000
TIMED = 2_000  # its pool works in pieces of 1,000: one a core

if __name__ == "__main__":
    scores = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = perf_counter()
    error = bootstrap_stderr(mean, scores, iters=TIMED)
    seconds = perf_counter() - started
    print(  # noqa: T201
        f"lm-evaluation-harness bootstrap of one mean over {len(scores)} scores: {seconds:.1f} s "
        f"for {TIMED} of {WHOLE} resamples; extrapolated {seconds * WHOLE / TIMED:.0f} s for one "
        f"estimate (standard error {error:.4f}, clusters not considered)"
    )
