"""The two kinds of failure that a user may meet; the command line turns them into one line and an exit code."""


class UserError(ValueError):
    """Wrong usage or bad input: the command ends with exit code 2."""


class WorldError(RuntimeError):
    """The world failed (disk full, out of memory): the command ends with exit code 1."""


class DivergedError(WorldError):
    """Training came to figures that are no finite numbers; the last good checkpoint and run state are kept."""


OUT_OF_MEMORY = (
    "out of memory; lower training.micro_batch_size (or evaluation.batch_size, --num-samples), set "
    "training.gradient_checkpointing=true, take a smaller model, or raise the limits (ulimit)"
)
# What torch, its kernels, Python and the loader of libraries say then, by errors of many classes.
_NO_MEMORY = (
    "out of memory",
    "t allocate memory",
    "could not create a primitive",
    "can't start new thread",
    "error return without exception set",
)


def is_out_of_memory(error: Exception) -> bool:
    """True if ``error`` says in one of several ways that memory is at its end."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
