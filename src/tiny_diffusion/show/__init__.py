"""The animation of a text as it comes out of the noise: in a terminal, as a GIF, as a page.

All three read `tiny_diffusion.show.frames` and know nothing of models.
"""
