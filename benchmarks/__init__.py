"""The promises about speed, measured: ``python -m benchmarks`` (or ``make bench``).

Reading order: ``case`` says what a benchmark is, ``cases/`` holds one file for each promise, ``worker`` runs one variant of
one case in a process of its own, ``runner`` drives the workers in turn, ``report`` judges and prints.
"""
