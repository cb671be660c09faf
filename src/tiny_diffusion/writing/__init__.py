"""Writing: finished texts from prompts, from templates with gaps, and from texts to rewrite.

It may import ``sampling``, ``checkpoint`` and everything below them. Start reading at ``writer.py``; its three ways are
``continuing.py``, ``rewriting.py`` and ``infilling``. ``Writer``, ``Written`` and ``Refused`` are exported by
``tiny_diffusion``, which loads torch only when they are used. Nothing is imported here, so that the command line reads
a template without torch.
"""
