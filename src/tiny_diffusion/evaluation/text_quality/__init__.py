"""Measures texts that the model wrote: coherence, copying from the training text, and quality against diversity.

It may import what ``evaluation`` may import. Start with ``samples.write_samples``, then ``novelty.measure_novelty``.
"""

from .coherence import CoherenceReport, measure_coherence
from .frontier import Frontier, measure_frontier
from .novelty import NoveltyReport, measure_novelty
from .samples import write_samples

__all__ = [
    "CoherenceReport",
    "Frontier",
    "NoveltyReport",
    "measure_coherence",
    "measure_frontier",
    "measure_novelty",
    "write_samples",
]
