"""Notes of the library, which it logs: shown to the user, each once."""

import logging

from .options import errors, say


class Notes(logging.Handler):
    """Prints each message once to the standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message, unless it was printed already."""
        message = record.getMessage()
        if message not in self.seen:
            self.seen.add(message)
            say(f"note: {message}", to=errors)


_NOTES = Notes()


def show_notes() -> None:
    """Show what the library logs during this command."""
    _NOTES.seen.clear()
    logging.getLogger(__package__.partition(".")[0]).addHandler(_NOTES)
