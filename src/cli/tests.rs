//! What command lines mean.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

#[test]
fn given_the_definitions_then_clap_finds_no_contradiction() {
    Cli::command().debug_assert();
}

#[test]
fn given_run_then_the_file_is_optional() {
    let Ok(Command::Run(run)) = parse("valve run --config a/valve.toml") else { panic!("not run") };
    assert_eq!(run.config, Some(PathBuf::from("a/valve.toml")));
    let Ok(Command::Run(run)) = parse("valve run") else { panic!("not run") };
    assert_eq!(run.config, None);
}

#[test]
fn given_healthcheck_then_all_is_optional_and_a_url_needs_no_settings() {
    let Ok(Command::Healthcheck(check)) = parse("valve healthcheck") else { panic!("not healthcheck") };
    assert_eq!((check.config, check.url, check.ready), (None, None, false));
    let line = "valve healthcheck --url http://127.0.0.1:8080 --ready";
    let Ok(Command::Healthcheck(check)) = parse(line) else { panic!("not healthcheck") };
    assert_eq!((check.url.as_deref(), check.ready), (Some("http://127.0.0.1:8080"), true));
    assert!(parse("valve healthcheck --url http://127.0.0.1:8080 --config valve.toml").is_err());
}

#[test]
fn given_demo_with_all_arguments_then_they_arrive() {
    let line = "valve demo --records 500 --rate 20 --out files --http 127.0.0.1:9 --seed 7";
    let Ok(Command::Demo(demo)) = parse(line) else { panic!("not demo") };
    assert_eq!((demo.records, demo.rate, demo.seed), (Some(500), 20, 7));
    assert_eq!(demo.out, Some(PathBuf::from("files")));
    assert_eq!(demo.http, SocketAddr::from(([127, 0, 0, 1], 9)));
}

#[test]
fn given_audit_with_all_arguments_then_they_arrive() {
    let line = "valve audit --topic a --topic b --from 2026-11-23T07 --to 2026-11-24T00 --json --deep";
    let Ok(Command::Audit(audit)) = parse(line) else { panic!("not audit") };
    assert_eq!(audit.topics, ["a", "b"]);
    assert_eq!(audit.from.map(|hour| hour.to_string()).as_deref(), Some("2026-11-23T07"));
    assert_eq!(audit.to.map(|hour| hour.to_string()).as_deref(), Some("2026-11-24T00"));
    assert!(audit.json && audit.deep);
}

#[test]
fn given_hours_with_all_arguments_then_they_arrive() {
    let line = "valve hours --topic a --topic b --hour 2026-11-23T07 --lateness 1h30m --mark --json";
    let Ok(Command::Hours(hours)) = parse(line) else { panic!("not hours") };
    assert_eq!(hours.topics, ["a", "b"]);
    assert_eq!(hours.hour.map(|hour| hour.to_string()).as_deref(), Some("2026-11-23T07"));
    assert_eq!(hours.lateness, Some(Duration::from_secs(5_400)));
    assert!(hours.mark && hours.json);
}

#[test]
fn given_deadletters_with_all_arguments_then_they_arrive() {
    let line = "valve deadletters list --reason too_large --topic b --topic c --schema 7 --since 1970-01-01T00:00:01+00:00 \
                --until 1970-01-01T00:00:02Z --min-attempts 2 --json --open";
    let Ok(Command::Deadletters { command: DeadlettersCommand::List(list) }) = parse(line) else {
        panic!("not list")
    };
    let LetterFilterArgs { reasons, topics, schemas, since, until, min_attempts } = list.filter;
    assert_eq!(
        (reasons.join(""), topics.join(""), schemas, list.json, list.open),
        ("too_large".into(), "bc".into(), vec![7], true, true)
    );
    assert_eq!((since, until, min_attempts), (Some(UnixMillis(1_000)), Some(UnixMillis(2_000)), 2));
    let Ok(Command::Deadletters { command: DeadlettersCommand::Show(show) }) =
        parse("valve deadletters show 3/17")
    else {
        panic!("not show")
    };
    assert_eq!(show.place, (3, Offset(17)));
}

#[test]
fn given_a_wrong_command_line_then_the_exit_code_is_2() {
    for line in [
        "valve",
        "valve rnu",
        "valve run --records 1",
        "valve deadletters list --reason too_lrge",
        "valve demo --rate 2000000",
        "valve demo --http here",
        "valve audit --from 2026-11-23T07",
        "valve audit --from 2026-11-23 --to 2026-11-24",
        "valve hours --hour yesterday",
        "valve hours --lateness 10",
        "valve deadletters",
        "valve deadletters list --since yesterday",
        "valve deadletters show 17",
        "valve deadletters show 0/-1",
    ] {
        assert_eq!(parse(line).map(|_| ()).map_err(|error| error.exit_code()), Err(2), "{line:?}");
    }
}

#[test]
fn given_help_or_version_then_it_is_no_error_and_help_tells_the_exit_codes() {
    assert_eq!(parse("valve --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
    for line in ["valve --help", "valve run --help", "valve demo -h", "valve hours --help"] {
        let help = parse(line).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        assert_eq!(help.exit_code(), 0);
        assert!(help.to_string().contains("Exit codes:"), "{help}");
    }
}

#[test]
fn given_check_with_all_arguments_then_they_arrive() {
    let Ok(Command::Check(check)) = parse("valve check --config valve.toml --offline --json") else {
        panic!("not check")
    };
    assert_eq!((check.config, check.offline, check.json), (Some(PathBuf::from("valve.toml")), true, true));
}
