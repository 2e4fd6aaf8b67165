import json

import simssl
from simssl.api import RunInfo, Tracker
from simssl.blocks.files import open_to_append


class JsonLines(Tracker):
    """Write the terms of the loss as lines of JSON into the run's folder."""

    class Params(simssl.Params):
        file: str = "terms.jsonl"
        "Name of the file."

    def started(self, run: RunInfo) -> None:
        self.stream = open_to_append(run.directory, self.params.file)

    def logged(self, step: int, terms: dict[str, float]) -> None:
        print(json.dumps({"step": step, **terms}), file=self.stream, flush=True)

    def ended(self, error: BaseException | None) -> None:
        self.stream.close()


@simssl.hookimpl
def simssl_tracker() -> type[Tracker]:
    return JsonLines
