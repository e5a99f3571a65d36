"""The entry point of `meshproxy` and of `python -m meshproxy_cli`."""

import sys


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    from meshproxy_cli.cli.app import run  # noqa: PLC0415 (keeps `import meshproxy_cli.__main__` free of work)

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
