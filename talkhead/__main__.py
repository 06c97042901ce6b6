"""`python -m talkhead` is `talkhead`."""

from talkhead_cli.app import main

main()
