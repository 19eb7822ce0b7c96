"""`python -m diswot_bench`."""

from diswot_bench.command import main

if __name__ == "__main__":
    main()
