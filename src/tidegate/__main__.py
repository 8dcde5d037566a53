"""`python -m tidegate`: the program `tidegate`."""

from tidegate.cli import main

if __name__ == "__main__":
    main()
