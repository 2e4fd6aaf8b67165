"""`python -m simssl` is `simssl`."""

from simssl.cli import main

main()
