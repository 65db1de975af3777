//! What the checks say, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Finding, Outcome};

/// What was tried is in a column as wide as the longest of its area, but for those longer than this, in characters.
const WIDEST: usize = 56;

/// How a line about an outcome begins, and its colour (ECMA-48, "Select Graphic Rendition").
fn word(outcome: Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Well => ("ok", "ok", "32"),
        Outcome::Noted => ("note", "note", "36"),
        Outcome::Warned => ("WARN", "warning", "33"),
        Outcome::Failed => ("FAILED", "failed", "31"),
        Outcome::NotTried => ("-", "not_tried", "2"),
    }
}

/// All findings, and what they come to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) findings: Vec<Finding>,
    /// How long all of it took.
    pub(crate) took: Duration,
    /// Only the settings were looked at.
    pub(crate) offline: bool,
}

impl Told {
    fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// 0 when valve can work, 1 otherwise.
    pub(crate) fn exit_code(&self) -> u8 {
        u8::from(self.count(Outcome::Failed) > 0)
    }

    /// For people; `colours` for a terminal that has them.
    pub(crate) fn as_text(&self, colours: bool) -> String {
        let mut text = String::new();
        for area in self.findings.chunk_by(|one, next| one.area == next.area) {
            text.push_str(&format!("{}\n", area.first().map_or("", |finding| finding.area)));
            let widths = area
                .iter()
                .filter(|finding| !has_reason(finding))
                .map(|finding| finding.tried.chars().count());
            let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
            area.iter().for_each(|finding| text.push_str(&line(finding, width, colours)));
            text.push('\n');
        }
        format!("{text}{}\n", self.summary())
    }

    fn summary(&self) -> String {
        let (checks, took) = (self.findings.len(), self.took.as_secs_f64());
        let (failed, not_tried) = (self.count(Outcome::Failed), self.count(Outcome::NotTried));
        let mut text = match (failed, self.offline) {
            (0, true) => "The settings are valid; nobody was asked anything (--offline).".to_owned(),
            (0, false) => format!("All is well: {checks} checks in {took:.1} s."),
            (failed, _) => format!("{failed} of {checks} checks failed, in {took:.1} s."),
        };
        for (count, what) in [(not_tried, "not tried"), (self.count(Outcome::Warned), "to be warned of")] {
            if count > 0 {
                text.push_str(&format!(" {count} {what}."));
            }
        }
        text
    }

    /// For programs.
    pub(crate) fn as_json(&self) -> String {
        let json = json!({
            "checks": self.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "failed": self.count(Outcome::Failed),
            "warnings": self.count(Outcome::Warned),
            "not_tried": self.count(Outcome::NotTried),
            "offline": self.offline,
            "milliseconds": millis(self.took),
            "exit_code": self.exit_code(),
        });
        format!("{json:#}\n")
    }
}

/// Whether it needs attention, and so has lines of its own for reason and advice.
fn has_reason(finding: &Finding) -> bool {
    matches!(finding.outcome, Outcome::Failed | Outcome::Warned)
}

/// A finding as a line, what was tried in a column of this width.
fn line(finding: &Finding, width: usize, colours: bool) -> String {
    let (word, _, colour) = word(finding.outcome);
    let took = finding.took.map(|took| format!("{} ms", millis(took))).unwrap_or_default();
    let word = format!("{word:<6}");
    let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
    let (tried, said) = (plain(&finding.tried), plain(&finding.said));
    let said = match (said.is_empty(), has_reason(finding)) {
        (true, _) => tried,
        (false, false) => format!("{tried:<width$}  {said}"),
        (false, true) => format!("{tried}\n{:20}{said}", ""),
    };
    let to_do = finding.to_do.as_deref().map(|to_do| format!("\n{:17}=> {}", "", plain(to_do)));
    format!("  {word} {took:>9}  {said}{}\n", to_do.unwrap_or_default())
}

/// Text from other systems, on one line and without what a terminal would take for commands.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn finding_json(finding: &Finding) -> Value {
    let (_, outcome, _) = word(finding.outcome);
    json!({
        "area": finding.area,
        "tried": finding.tried,
        "outcome": outcome,
        "said": finding.said,
        "to_do": finding.to_do,
        "milliseconds": finding.took.map(millis),
    })
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(findings: Vec<Finding>) -> Told {
        Told { findings, took: Duration::from_millis(1_234), offline: false }
    }

    fn some() -> Vec<Finding> {
        vec![
            Finding::new("kafka", "connect to kafka-1:9092", Outcome::Well)
                .saying("10.0.0.1:9092")
                .took(Duration::from_millis(3)),
            Finding::new("kafka", "ask for the cluster", Outcome::Failed)
                .saying("no\nanswer")
                .advising("wait")
                .took(Duration::from_secs(10)),
            Finding::not_tried("kafka", "find topics", "no broker answers"),
            Finding::new("bucket", "put", Outcome::Warned).saying("\x1b[2Jodd"),
        ]
    }

    #[test]
    fn given_findings_then_text_has_a_line_for_each_and_reasons_with_advice_below() {
        let text = told(some()).as_text(false);
        let expected = "kafka
  ok          3 ms  connect to kafka-1:9092  10.0.0.1:9092
  FAILED  10000 ms  ask for the cluster
                    no answer
                 => wait
  -                 find topics              not tried, since no broker answers

bucket
  WARN              put
                     [2Jodd

1 of 4 checks failed, in 1.2 s. 1 not tried. 1 to be warned of.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn given_a_terminal_then_outcomes_have_colours_and_nothing_else_differs() {
        let (plain, colours) = (told(some()).as_text(false), told(some()).as_text(true));
        assert!(colours.contains("\x1b[31mFAILED\x1b[0m") && colours.contains("\x1b[32mok    \x1b[0m"));
        let mut stripped = colours;
        for code in ["32", "36", "33", "31", "2", "0"] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn given_findings_then_json_has_them_all_and_the_exit_code() {
        let json: Value = serde_json::from_str(&told(some()).as_json()).unwrap();
        assert_eq!((&json["failed"], &json["exit_code"]), (&json!(1), &json!(1)));
        assert_eq!((&json["not_tried"], &json["warnings"]), (&json!(1), &json!(1)));
        let failed = json!({
            "area": "kafka", "tried": "ask for the cluster", "outcome": "failed", "said": "no\nanswer",
            "to_do": "wait", "milliseconds": 10_000,
        });
        assert_eq!(json["checks"][1], failed);
    }

    #[test]
    fn given_warnings_and_notes_then_all_is_well_all_the_same() {
        let findings = [Outcome::Well, Outcome::Noted, Outcome::Warned, Outcome::NotTried];
        let told = told(findings.map(|outcome| Finding::new("sink", "put", outcome)).to_vec());
        assert_eq!(told.exit_code(), 0);
        assert!(told.as_text(false).contains("All is well: 4 checks in 1.2 s. 1 not tried."));
    }
}
