"""`python -m postback`, and the program `postback`."""

from postback.cli.interrupted import ended_by_interrupt


def main() -> None:
    """Run the command line."""
    with ended_by_interrupt():
        from postback.cli.app import main as run  # noqa: PLC0415 - it takes its time to load
    run()


if __name__ == "__main__":
    main()
