"""Studies over several whole runs: comparisons with the twin, ablations, time budgets, and what this machine can do.

It may import everything below ``cli``. Start with ``plan.execute``, which does the runs of a plan; ``compare``,
``ablation`` and ``twin`` make plans. This package exports nothing itself, because listing kept runs must not load the
trainer.
"""
