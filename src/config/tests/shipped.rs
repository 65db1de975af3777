//! The configurations in `config/` are complete but for what they leave to the environment, and say nothing twice.

use super::*;

const FILES: [&str; 2] = ["holding-tank.toml", "archive.toml"];

/// What the files leave to the environment, as they say by lines that are commented out.
const LEFT: &[(&str, &str)] = &[
    ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092"),
    ("VALVE_REGISTRY__URL", "http://registry:8081"),
    ("VALVE_SINK__BUCKET", "events"),
];

fn path(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)
}

#[test]
fn given_a_shipped_file_and_what_it_leaves_to_the_environment_then_it_is_valid() {
    for file in FILES {
        let config = load_on(MACHINE, Some(&path(file)), pairs(LEFT))
            .unwrap_or_else(|errors| panic!("{file}: {errors}"));
        assert_eq!(config.sink.prefix(), config.name, "{file}");
        assert_eq!(format!("{}.toml", config.name), file);
    }
}

#[test]
fn given_a_shipped_file_alone_then_just_what_it_leaves_out_is_missing() {
    for file in FILES {
        let errors = errors_of(load_on(MACHINE, Some(&path(file)), pairs(&[])));
        let missing: Vec<_> = errors.iter().map(|error| variable_of(&error.setting)).collect();
        let left: Vec<_> = LEFT.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(missing, left, "{file}: {errors:?}");
    }
}

#[test]
fn given_the_lines_that_a_shipped_file_has_commented_out_then_they_are_right_too() {
    for file in FILES {
        let text = fs::read_to_string(path(file)).unwrap();
        let is_setting = |line: &&str| line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
        let lines = text.lines().map(|line| line.strip_prefix("# ").filter(is_setting).unwrap_or(line));
        // Another value for what is given already.
        let lines = lines.filter(|line| *line != "codec = \"zstd-3\"");
        let config = load_text(&lines.collect::<Vec<_>>().join("\n"), &[]);
        config.unwrap_or_else(|errors| panic!("{file}: {errors}"));
    }
}
