"""`python -m postback`, and the program `postback`."""

from postback.cli.loading import loading


def main() -> None:
    """Run the command line."""
    with loading():
        from postback.cli.app import main as run  # noqa: PLC0415 - it takes its time to load
    run()


if __name__ == "__main__":
    main()
