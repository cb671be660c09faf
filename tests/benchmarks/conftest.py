"""Tests of the benchmarks' own modules, which are scripts in a folder beside the package."""

import sys
from pathlib import Path

# At the end, so that a benchmark's name hides no installed module.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
