"""The page of ``tiny-diffusion serve``: a sheet to write on with a model, a training run, and the blind test.

It may import every part below the command line. Nothing here trains, and no request names a file. Start with
``app.make_app``, which lists the routes; ``sheet`` turns a wish into events, ``line`` runs one wish at a time, ``door``
says who may come in, and ``static`` holds what the browser gets.
"""
