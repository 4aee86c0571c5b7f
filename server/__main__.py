"""`python -m server` is the `tidegate` program."""

from server.cli import main

if __name__ == "__main__":
    main()
