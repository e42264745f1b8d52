"""`--record-contract FILE`: write what `test_contract.py` found, for the gallery."""

import datetime
import json
from collections import defaultdict
from pathlib import Path


def pytest_addoption(parser):
    parser.addoption(
        "--record-contract",
        metavar="FILE",
        type=Path,
        help="write the results of the loss contract, if all tests pass",
    )


def pytest_configure(config):
    path = config.getoption("--record-contract")
    if path and not hasattr(config, "workerinput"):  # with xdist, once
        config.pluginmanager.register(Recorder(path))


class Recorder:
    def __init__(self, path):
        self.path = path
        self.results = defaultdict(dict)
        self.ulps = defaultdict(float)

    def pytest_runtest_logreport(self, report):
        found = dict(report.user_properties)
        if report.when != "call" or "contract" not in found:
            return
        entry, clause, result = found["contract"]
        self.results[entry][clause] = result
        self.ulps[entry] = max(self.ulps[entry], found.get("ulps", 0))

    def pytest_sessionfinish(self, session, exitstatus):
        import torch
        from cases import devices
        from contract import CLAUSES, digest

        from lossutils.catalogue import CATALOGUE

        complete = {name: set(CLAUSES) for name in CATALOGUE}
        if exitstatus or {n: set(r) for n, r in self.results.items()} != complete:
            print(f"\n{self.path} not written: not every clause was run and passed")
            return
        record = {
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
            "devices": devices(),
            "sources": digest(),
            "results": {n: {c: self.results[n][c] for c in CLAUSES} for n in CATALOGUE},
            "error": {n: {"float32 ulps": round(self.ulps[n], 2)} for n in CATALOGUE},
        }
        text = json.dumps(record, indent=1, ensure_ascii=False)
        self.path.write_text(text + "\n", encoding="utf-8")
