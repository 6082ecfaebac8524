"""A result enters; one self-contained HTML page leaves."""

from ._write import write_report as write_report
