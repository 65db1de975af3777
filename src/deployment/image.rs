//! The Dockerfile, as far as it repeats what is said elsewhere. (tests/image builds it and runs what comes of it.)

use std::fs;
use std::path::Path;

use regex::Regex;

fn text(of: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(of);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{of}: {error}"))
}

#[test]
fn given_the_image_then_it_is_labelled_with_the_version_of_the_program_and_nobody_can_give_another() {
    let dockerfile = text("Dockerfile");
    let label = format!(r#"org.opencontainers.image.version="{}""#, env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&label), "no {label}");
}

#[test]
fn given_what_docker_compose_builds_then_it_is_what_the_dockerfile_builds_by_itself() {
    let (dockerfile, compose) = (text("Dockerfile"), text("docker-compose.yml"));
    let argument = Regex::new(r"(?m)^      (\w+): \$\{\w+:-(.*)\}$").unwrap();
    let given = argument.captures_iter(&compose).map(|found| (found[1].to_owned(), found[2].to_owned()));
    let given: Vec<_> = given.filter(|(name, _)| dockerfile.contains(&format!("ARG {name}="))).collect();
    assert_eq!(given.len(), 4, "{given:?}");
    for (name, value) in given {
        assert!(dockerfile.contains(&format!("ARG {name}={value}\n")), "{name}={value}");
    }
}
