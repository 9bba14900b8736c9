"""`python -m tsf.cli` is `tsf`."""

from tsf.cli.commands import main

main()
