"""``python -m pipelines`` and its console script ``sgenet``: the command line, where its packages are installed."""

from __future__ import annotations

import sys

from sgenet.console import run_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; see :mod:`pipelines.command_line`."""
    try:
        # Needs packages that `pip install sgenet` alone does not install, as commands do where they import theirs.
        from pipelines.command_line import run

        return run(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "sgenet", "pipelines"):
            raise
        print(
            f"error: the package {package} is not installed; `pip install 'sgenet[platform]'` installs what this "
            "command needs, and `python -m sgenet` fills a photograph without",
            file=sys.stderr,
        )
        return 2


def console() -> None:
    """The console script ``sgenet``."""
    sys.exit(run_command(main))


if __name__ == "__main__":
    sys.exit(run_command(main))
