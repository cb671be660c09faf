"""The program's version: its one home, from which the package's metadata is built."""

PROGRAM_VERSION = "0.1.0"
