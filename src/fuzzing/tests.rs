//! What was kept of the fuzzing: every input in `fuzz/corpus`, each time the tests run.

use std::fs;
use std::path::Path;

use super::*;

#[test]
fn given_the_inputs_that_were_kept_then_none_does_what_it_must_not() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs = 0;
        for file in files {
            let path = file.unwrap().path();
            let input = fs::read(&path).unwrap();
            let done = std::panic::catch_unwind(|| target(&input));
            assert!(done.is_ok(), "{} breaks {name}", path.display());
            inputs += 1;
        }
        assert!(inputs > 5, "{}: only {inputs} inputs", folder.display());
    }
}

#[test]
fn given_the_folders_of_inputs_then_each_belongs_to_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for folder in fs::read_dir(corpus).unwrap() {
        let name = folder.unwrap().file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "{name:?} is of no target");
    }
}
