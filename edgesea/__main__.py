"""`python -m edgesea` is `edgesea`."""

from edgesea.cli import main

main()
