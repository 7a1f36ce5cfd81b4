"""`python -m humanparse` is the command line."""

from .cli import main

main()
