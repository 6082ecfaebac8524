"""The command `jefficient`: arguments enter, text and an exit code leave."""

from ._main import main as main
