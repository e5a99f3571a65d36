"""Other people's configuration files, edited: a plan is shown, applied, remembered and undone."""
