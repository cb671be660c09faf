"""The two kinds of failure that a user may meet; the command line turns them into one line and an exit code."""


class UserError(ValueError):
    """Wrong usage or bad input: the command ends with exit code 2."""


class WorldError(RuntimeError):
    """The world failed (disk full, out of memory): the command ends with exit code 1."""


class DivergedError(WorldError):
    """Training came to figures that are no finite numbers; the last good checkpoint and run state are kept."""
