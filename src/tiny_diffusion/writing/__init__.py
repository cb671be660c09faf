"""Writing: finished texts from prompts, templates with gaps and texts to rewrite.

It may import everything up to ``sampling`` and ``checkpoint``, nothing above. Start reading at ``writer.py``.
"""
