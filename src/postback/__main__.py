"""`python -m postback`, and the program `postback`."""

from postback.cli.app import main

if __name__ == "__main__":
    main()
