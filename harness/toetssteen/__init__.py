"""Toetssteen tests candidate AI models for bias, privacy leakage, energy use and task quality.

A toetssteen (touchstone) shows what gold is worth. It tests; it does not certify.

The walk of one datum: a task in YAML gives items; a scorer turns an item into requests; `plan`
fixes what will be asked; `collect` asks the candidate what the store does not hold yet; `mark`
turns answers into scores and estimates; `weigh` holds them against registered criteria; tracker
and report show the result.
"""

__version__ = "0.1.0"
