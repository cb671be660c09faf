"""Measures how good a model is: likelihood, style, text quality, and a blind test with people, joined in one report.

It may import everything below ``studies``, except ``training`` and ``show``. Start with ``subject``, which holds what
all measurements share, then ``report.evaluate``, which runs them in order; ``result`` holds what comes out. This
package exports nothing itself, because answering a blind test must not load torch.
"""
