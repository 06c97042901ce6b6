"""`python -m talkhead_cli`."""

from talkhead_cli.app import main

main()
