"""`meshproxy completion`: the command, and the scripts that it installs for each shell."""
