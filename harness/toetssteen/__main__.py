"""`python -m toetssteen` is `toets`."""

from toetssteen.cli import main

main()
