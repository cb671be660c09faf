"""A model in the formats of other programs: folders of the transformers library, and ONNX.

It imports checkpoints and what lies below them. Start reading at ``folder.py``; ``modeling_tiny_diffusion.py`` is
copied into each folder and is never imported here.
"""
