"""One file, one architecture; the file's name is its name on the command line."""
