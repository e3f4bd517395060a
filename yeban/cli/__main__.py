"""``python -m yeban.cli``."""

from yeban.cli.main import main

main()
