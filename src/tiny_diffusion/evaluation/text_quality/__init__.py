"""Measures texts that the model wrote: coherence, copying, quality against diversity, and a two-sample test.

It may import what ``evaluation`` may import. Start with ``samples.write_samples``, then ``novelty.measure_novelty``.
"""

from .coherence import CoherenceReport, measure_coherence
from .frontier import Frontier, measure_frontier
from .novelty import NoveltyReport, measure_novelty
from .samples import write_samples
from .two_sample import TwoSample, measure_two_sample

__all__ = [
    "CoherenceReport",
    "Frontier",
    "NoveltyReport",
    "TwoSample",
    "measure_coherence",
    "measure_frontier",
    "measure_novelty",
    "measure_two_sample",
    "write_samples",
]
