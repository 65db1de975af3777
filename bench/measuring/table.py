"""Rows of figures, what was hoped for, and whether it was reached: as one table, and as what each run gave."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).resolve().parents[1] / "results"
COLUMNS = [
    # Key of the figures, head of the column, how to show it.
    ("per_second", "records/s", lambda value: thousands(value)),
    ("per_cpu_second", "records per CPU-s", lambda value: thousands(value)),
    ("peak_mib", "peak MiB", lambda value: f"{value:.0f}"),
    ("resident_mib", "resident MiB", lambda value: f"{value:.0f}"),
    ("files", "files", lambda value: f"{value:.0f}"),
    ("fullest_hour", "files, fullest hour", lambda value: f"{value:.0f}"),
    ("ratio", "ratio", lambda value: f"{value:.2f}"),
    ("seconds", "s", lambda value: f"{value:.2f}"),
    ("cpu_percent", "% of a core", lambda value: f"{value:.2f}"),
]


def thousands(value):
    if value < 1000:
        return f"{value:.0f}"
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k"


@dataclass(frozen=True)
class Goal:
    """A bound of one figure's median (of its worst value, where that is what is promised)."""

    figure: str
    bound: float
    at_least: bool = True
    worst: bool = False

    def met(self, values):
        value = (min if self.at_least else max)(values) if self.worst else median(values)
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self):
        head, show = next((head, show) for key, head, show in COLUMNS if key == self.figure)
        return f"{head} {'≥' if self.at_least else '≤'} {show(self.bound)}"


@dataclass
class Row:
    """What is measured again and again."""

    title: str
    goals: list = field(default_factory=list)
    # What somebody else reached with the same, from the issue: as it was written there.
    others: dict = field(default_factory=dict)
    runs: list = field(default_factory=list)

    def values(self, figure):
        return [run[figure] for run in self.runs if run.get(figure) is not None]

    def cell(self, figure, show):
        values = self.values(figure)
        if not values:
            return ""
        low, high = show(min(values)), show(max(values))
        return show(median(values)) if low == high else f"{show(median(values))} ({low} to {high})"

    def verdict(self, judged):
        wrong = sorted({run["wrong"] for run in self.runs if run.get("wrong")})
        said = [f"WRONG: {what}" for what in wrong]
        for goal in self.goals:
            values = self.values(goal.figure)
            verdict = "met" if values and goal.met(values) else "missed"
            said.append(f"{verdict if judged and values else 'not judged'}: {goal}")
        return "; ".join(said)


class Table:
    """All rows of one command."""

    def __init__(self, what, about, reasons):
        self.what, self.about, self.reasons = what, about, reasons
        self.rows, self.busy = [], []

    def add(self, row):
        self.rows.append(row)
        return row

    def note_busy(self, cores):
        """What else kept the machine busy just before a run."""
        self.busy.append(cores)

    def text(self):
        shown = [column for column in COLUMNS if any(row.values(column[0]) or column[0] in row.others for row in self.rows)]
        heads = ["what", "runs", *(head for _, head, _ in shown), "goal"]
        lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for row in self.rows:
            cells = [row.title, str(len(row.runs)), *(row.cell(key, show) for key, _, show in shown), row.verdict(not self.reasons)]
            lines.append("| " + " | ".join(cells) + " |")
            if row.others:
                theirs = [f"*{row.others['who']}*", "", *(row.others.get(key, "") for key, _, _ in shown), ""]
                lines.append("| " + " | ".join(theirs) + " |")
        return "\n".join(lines)

    def heading(self):
        lines = [f"{name}: {value}" for name, value in self.about.items()]
        if self.busy:
            lines.append(f"busy cores beside: median {median(self.busy):.2f}, at most {max(self.busy):.2f}, looked at "
                         "before each run")
        if self.busy and max(self.busy) > 0.5:
            disturbed = sum(cores > 0.5 for cores in self.busy)
            lines.insert(0, f"**Disturbed**: {disturbed} of {len(self.busy)} runs began while something else kept the machine busy.")
        if self.reasons:
            lines.insert(0, "**No results**: " + ", ".join(self.reasons) + ".")
        return "\n".join(f"- {line}" for line in lines)

    def write(self):
        """Keeps the table and each run's figures; returns where."""
        RESULTS.mkdir(exist_ok=True)
        trial = "trial-" if self.reasons else ""  # kept out of the repository
        stem = f"{trial}{self.about['date'][:16].replace(':', '')}-{self.what}"
        page = RESULTS / f"{stem}.md"
        page.write_text(f"# {self.what}\n\n{self.heading()}\n\nMedian (least to most) of the runs.\n\n{self.text()}\n")
        rows = [{"title": row.title, "goals": [str(goal) for goal in row.goals], "runs": row.runs} for row in self.rows]
        about = {**self.about, "no_results": self.reasons, "busy_cores": self.busy}
        (RESULTS / f"{stem}.json").write_text(json.dumps({"what": self.what, **about, "rows": rows}, indent=1) + "\n")
        return page
