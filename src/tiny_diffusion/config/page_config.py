"""The page of ``serve``: where it listens, and how much one request may ask of the machine."""

from pydantic import Field

from .base import Config


class PageConfig(Config):
    """Bounds that hold for every user of the page."""

    port: int = Field(8765, ge=0, le=65535)
    """Port of the page; 0: any free one."""
    longest_text: int = Field(20_000, ge=100)
    """Most characters of a text that the page takes."""
    most_tokens: int = Field(400, ge=1)
    """Most tokens that one request writes, in each of its drafts."""
    most_drafts: int = Field(4, ge=1)
    """Most drafts of one request."""
    most_passages: int = Field(40, ge=2)
    """Most passages of a blind test that is begun from the page."""
    most_jobs: int = Field(8, ge=1)
    """Most requests that write or wait at a time; the next ones are told to come back."""
    most_seconds: float = Field(300.0, gt=0)
    """Seconds after which a request stops writing."""
    patience: float = Field(20.0, gt=0)
    """Seconds that the page waits for a slow browser, to send its request or to take the next words."""
