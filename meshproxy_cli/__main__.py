"""The entry point of `meshproxy` and of `python -m meshproxy_cli`."""

import sys


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    try:
        from meshproxy_cli.cli.app import run  # noqa: PLC0415 (keeps `import meshproxy_cli.__main__` free of work)

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before `run` could take care of it
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
