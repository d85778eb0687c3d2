"""The command line: the library's calls, and what a first run needs that is not configured."""
