"""Measures texts that the model wrote: coherence, copying, quality against diversity, and a two-sample test.

It may import what ``evaluation`` may import. Start with ``samples.write_samples``, then ``novelty.measure_novelty``.
"""
