"""Run a Room Proxy: `serve`, `reload` and the user service that `setup` installs."""
