"""``python -m pipelines study``: the user study of Table 2, its page and what its votes say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.commands.common import add_params, check_dataset, check_free, port, positive

if TYPE_CHECKING:
    from gradio import Blocks

    from pipelines.report.study.interview import Interview

HELP = "Ask people which of two fillings looks better (Table 2); --results says what they answered."
HOST, PORT = "127.0.0.1", 7870
PER_PERSON = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is compared, where to listen, and --results."""
    add_params(parser)
    parser.add_argument("--dataset", help="a name in datasets of the settings file (default: the first)")
    parser.add_argument("--results", action="store_true", help="print and write what the votes say, and stop")
    parser.add_argument("--holes", metavar="SET", help="evaluation masks to show (default: the first of the dataset)")
    parser.add_argument(
        "--method", action="append", default=[], help="compare only these; repeat it (default: all that were evaluated)"
    )
    parser.add_argument(
        "--per-person", type=positive, default=PER_PERSON, help=f"most pairs to ask each person (default: {PER_PERSON})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order and the sides (default: 0)")
    parser.add_argument("--votes", type=Path, help="file of the votes (default: study/<dataset>/votes.sqlite)")
    parser.add_argument("--host", default=HOST, help="address to listen on; 0.0.0.0 lets others in (default: loopback)")
    parser.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}")


def execute(options: argparse.Namespace) -> None:
    """Serve the page until it is interrupted, or print the results.

    Raises:
        UserError: nothing can be compared, nobody has voted, or the port cannot be used.
    """
    from pipelines.report.collect import collect_dataset
    from pipelines.report.study.interview import Interview
    from pipelines.report.study.plan import make_plan
    from pipelines.report.study.votes import VoteBox
    from pipelines.settings.layout import StudyPaths
    from pipelines.settings.load import load
    from pipelines.settings.program import program

    settings = load(options.params)
    dataset = options.dataset or settings.datasets[0]
    check_dataset(settings, dataset)
    paths = StudyPaths(dataset)
    votes = options.votes or paths.votes
    results = collect_dataset(settings, dataset)
    if options.results:
        from pipelines.report.study.results import print_results, titles_of, write_results

        print_results(write_results(results, votes, paths.results), titles_of(results))
        print(f"Written to {paths.results}; `{program()} report` shows it")
        return
    check_free(options.port, options.host)
    plan = make_plan(results, options.holes or settings.masks[dataset].evaluation[0].name, options.method)
    box = VoteBox(votes)
    box.know(plan.pairs)
    _serve(Interview(plan, box, options.seed, options.per_person), options.host, options.port)


def _serve(interview: Interview, host: str, port: int) -> None:
    from pipelines.inference.page.limits import PageLimits
    from pipelines.inference.page.server import serving, warn_if_open

    def build() -> tuple[Blocks, str]:
        from pipelines.report.study.page import STYLE, build_page

        return build_page(interview), STYLE

    # Nothing is uploaded, and a vote has about a hundred bytes.
    with serving(build, PageLimits(file_bytes=0, request_bytes=64 * 1024, sessions=1000), host, port) as page:
        print(f"vote at {page.local_url} (Ctrl-C stops)", flush=True)
        warn_if_open(host)
        page.block_thread()
