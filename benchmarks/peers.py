"""tsf beside its peers on the protocols: python -m benchmarks.peers PATH/bench --peers-python VENV/bin/python.

The peers live in an environment of their own (`python -m venv VENV && VENV/bin/pip install -r benchmarks/peers.txt`);
without it they are skipped, with the reason. Each forecaster runs in a process of its own with one thread: tsf by
`score.py`, the others by `rivals.py`. What is done is kept in a JSON file, so that a stopped run goes on and one
column can be had anew: `--only tsf --again`. The tables go to stdout as Markdown, or into a page between its two marks
(`--page docs/forecaster.md`); `--table` runs nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from tsf.params import TrainParams

HERE = Path(__file__).parent
WORKS = {
    "m4_hourly": "M4 Hourly", "nab_aws": "NAB AWS", "gentd26": "GenTD26", "nersc_storage": "HPC file systems",
    "gift": "GIFT-Eval",
}  # fmt: skip
TRAININGS = {"gift": 10, "nersc_storage": 2}  # models that a protocol asks for; they share the time
LEARNERS, RULES = ("lstm", "nhits", "flaircast", "mstl"), ("seasonal_naive", "last_value", "predict_linear")
HEADS = {
    "tsf": "tsf", "lstm": "neuralforecast LSTM", "nhits": "neuralforecast NHITS", "flaircast": "flaircast",
    "mstl": "MSTL", "seasonal_naive": "seasonal naive", "last_value": "last value", "predict_linear": "predict_linear",
}  # fmt: skip
GENTD26 = {"gpu_memory_used_bytes": "GPU memory", "gpu_duty_cycle": "GPU duty", "pod_memory_util": "pod memory"}
NERSC = {"year": "fullness by day", "ost": "OST by 15 minutes"}
BEGIN, END = "<!-- peers: made by benchmarks/peers.py -->", "<!-- peers: end -->"
SPEED_STEPS = (100, 300, 1_000)  # of neuralforecast's optimiser; 1,000 are its default

Results = dict[str, dict[str, Any]]  # work -> forecaster -> what its process said


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("bench", type=Path, help="folder of the protocols")
    options.add_argument("--peers-python", default=sys.executable, help="of the environment that has the peers")
    options.add_argument("--results", type=Path, default=Path("peers.json"), help="what is done is kept here")
    options.add_argument("--only", action="append", choices=HEADS, help="run these forecasters only")
    options.add_argument("--work", action="append", choices=[*WORKS, "speed"], help="run these works only")
    options.add_argument("--cpu-minutes", type=float, default=10.0, help="of training of a peer on a work, at most")
    options.add_argument("--again", action="store_true", help="also what is done already")
    options.add_argument("--table", action="store_true", help="run nothing, show what there is")
    options.add_argument("--page", type=Path, help="put the tables into this page, between its marks")
    chosen = options.parse_args()
    results: Results = json.loads(chosen.results.read_text()) if chosen.results.exists() else {}
    for work in [] if chosen.table else chosen.work or [*WORKS, "speed"]:
        done = results.setdefault(work, {})
        for name, command in commands(work, chosen, results).items():
            if name in done and not chosen.again:
                continue
            say(f"{work}: {name}")
            done[name] = answer(command, trained_by_tsf if name == "tsf" else last_line)
            keep(results, chosen.results)
            say(f"  {done[name].get('skipped') or str(round(done[name]['cpu_seconds'])) + ' CPU s'}")
    if chosen.page:
        chosen.page.write_text(marked(chosen.page.read_text(), tables(results)))
    else:
        print(tables(results))


def commands(work: str, chosen: argparse.Namespace, results: Results) -> dict[str, list[str]]:
    """Forecaster -> the command that scores it."""
    only = chosen.only or [*HEADS]
    protocol = chosen.bench / f"protocol_{'m4_hourly' if work == 'speed' else work}.py"
    if work == "speed":
        rival = [chosen.peers_python, str(HERE / "rivals.py"), "lstm", str(protocol)]
        context = results.get("m4_hourly", {}).get("tsf", {}).get("context")
        if not context or "lstm" not in only:
            return {}
        limits = ["--cpu-minutes", str(chosen.cpu_minutes), "--set", f"context={context}", "--set"]
        return {f"lstm, {steps} steps": [*rival, *limits, f"steps={steps}"] for steps in SPEED_STEPS}
    found = {"tsf": [sys.executable, str(HERE / "score.py"), str(protocol), "--threads", "1"]}
    for name in (*RULES, *LEARNERS):
        python = sys.executable if name in RULES else chosen.peers_python
        found[name] = [python, str(HERE / "rivals.py"), name, str(protocol), "--cpu-minutes", str(chosen.cpu_minutes),
                       "--trainings", str(TRAININGS.get(work, 1))]  # fmt: skip
    return {name: command for name, command in found.items() if name in only}


def answer(command: list[str], understood: Any) -> dict[str, Any]:
    """What the process said in the end, with its CPU seconds; `skipped` with the reason where it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return {"skipped": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it ended without a word"}
    spent = sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))
    return understood(done) | {"cpu_seconds": spent}


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The dict that rivals.py prints."""
    return dict(json.loads(done.stdout.splitlines()[-1]))


def trained_by_tsf(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The scores that score.py prints, and what it said of its trainings on stderr."""
    trained = re.findall(r"trained in \d+ s, (\d+) CPU s, (\d+) epochs", done.stderr)
    contexts = re.findall(r"sequence_length (\d+)", done.stderr)
    return {
        "scores": last_line(done), "recipe": "tsf: default recipe",
        "training_cpu_seconds": float(sum(int(seconds) for seconds, _ in trained)),
        "windows": TrainParams().windows_per_epoch * sum(int(epochs) for _, epochs in trained),
        "context": int(contexts[-1]) if contexts else 0,
    }  # fmt: skip


def keep(results: Results, path: Path) -> None:
    """Write the results so that a reader never sees half of them."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(results, indent=1))
    beside.replace(path)


def rows(work: str, scores: dict[str, Any], naive: dict[str, Any] | None) -> dict[str, dict[str, float]]:
    """Row of the tables -> WQL, MASE, coverage. GIFT-Eval: geometric means of the shares of seasonal naive's."""
    if work == "gentd26":
        return {f"GenTD26, {name}": scores["groups"][group] for group, name in GENTD26.items()}
    if work == "nersc_storage":
        return {f"HPC, {name}": scores[part] | {"WQL": scores[part]["gWQL"]} for part, name in NERSC.items()}
    if work == "gift":
        if naive is None:
            return {}
        found = {key: math.prod(scores[one][key] / naive[one][key] for one in scores) ** (1 / len(scores))
                 for key in ("WQL", "MASE")}  # fmt: skip
        covered = sum(numbers["cov80"] for numbers in scores.values()) / len(scores)
        return {"GIFT-Eval, to seasonal naive": found | {"cov80": covered}}
    return {WORKS[work]: scores if "WQL" in scores else scores | {"WQL": scores["gWQL"]}}


def tables(results: Results) -> str:
    """All that is there, as Markdown."""
    found: dict[str, dict[str, dict[str, float]]] = {}  # row -> forecaster -> numbers
    for work, names in ((work, results.get(work, {})) for work in WORKS):
        naive = names.get("seasonal_naive", {}).get("scores")
        for name, said in names.items():
            for row, numbers in rows(work, said["scores"], naive).items() if "scores" in said else []:
                found.setdefault(row, {})[name] = numbers
    heads = [name for name in HEADS if any(name in numbers for numbers in found.values())]
    parts = []
    for title, key, best in [("WQL", "WQL", min), ("MASE", "MASE", min), ("in the 80 % interval", "cov80", None)]:
        lines = {row: {name: numbers[name][key] for name in numbers} for row, numbers in found.items()}
        parts.append(table(title, lines, heads, best))
    spent = {
        title: {name: said["cpu_seconds"] for name, said in results.get(work, {}).items() if "scores" in said}
        for work, title in WORKS.items()
    }
    parts += [table("CPU s, with all imports", spent, heads, None), speed(results), notes(results)]
    return "\n\n".join(part for part in parts if part)


def table(title: str, lines: dict[str, dict[str, float]], heads: list[str], best: Any) -> str:
    """A row per work, a column per forecaster; the best number of a row is bold."""
    texts = [f"| {title} | " + " | ".join(HEADS[name] for name in heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for row, numbers in lines.items():
        first = best(numbers.values()) if best and numbers else None
        cells = [shown(numbers.get(name), bold=numbers.get(name) == first) for name in heads]
        texts.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(texts)


def marked(page: str, text: str) -> str:
    """The page with this text between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"error: the page has no marks; put {BEGIN} and {END} where the tables belong")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def shown(number: float | None, *, bold: bool) -> str:
    if number is None:
        return ""
    text = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    return f"**{text}**" if bold else text


def speed(results: Results) -> str:
    """Training on M4 Hourly with the same data, context and horizon; nothing where tsf itself was not trained."""
    if "scores" not in results.get("m4_hourly", {}).get("tsf", {}):
        return ""
    done = {"tsf": results["m4_hourly"]["tsf"]} | results.get("speed", {})
    heads = ["M4 Hourly", "context", "windows learnt from", "CPU s of training", "times tsf's", "windows a CPU second",
             "WQL"]  # fmt: skip
    texts = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, said in done.items():
        if "scores" in said:
            windows, seconds = said["windows"], said["training_cpu_seconds"]
            texts.append(f"| {name.replace('lstm', HEADS['lstm'])} | {said['context']} | {windows:,} | "
                         f"{seconds:,.0f} | {seconds / done['tsf']['training_cpu_seconds']:.1f} | "
                         f"{windows / seconds:,.0f} | {said['scores']['WQL']:.4f} |")  # fmt: skip
    return "\n".join(texts) if len(texts) > 2 else ""


def notes(results: Results) -> str:
    """What is missing or was cut short, and why."""
    told = []
    for work, names in results.items():
        for name, said in names.items():
            where = f"{WORKS.get(work, WORKS['m4_hourly'])}, {HEADS.get(name, name.replace('lstm', HEADS['lstm']))}"
            if said.get("skipped"):
                told.append(f"- {where}: skipped, {said['skipped']}.")
            elif said.get("cut_short"):
                told.append(f"- {where}: training was stopped after {said['training_cpu_seconds']:,.0f} CPU s.")
    return "\n".join(told)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
