//! What Terraform would say before it asks the cloud: that all that is referred to is declared, and the other way round.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::json;

use super::example::{EXAMPLES, Example, source};
use super::module::{ALL, Module};

/// What `pattern` finds in `text`, its groups joined by dots.
fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    let joined = pattern.captures_iter(text).map(|captures| {
        captures.iter().skip(1).flatten().map(|group| group.as_str()).collect::<Vec<_>>().join(".")
    });
    joined.collect()
}

#[test]
fn given_each_module_then_it_declares_what_it_refers_to_and_uses_what_it_declares() {
    for name in ALL {
        let module = Module::read(name);
        let used = |pattern| found(pattern, &module.text);
        assert_eq!(used(r"\bvar\.(\w+)"), module.names("variable"), "variables of {name}");
        assert_eq!(used(r"\blocal\.(\w+)"), module.locals(), "locals of {name}");
        assert_eq!(used(r"\bdata\.(\w+)\.(\w+)"), module.names("data"), "data of {name}");
        let resources = used(r"(?:^|[^.\w])((?:aws|consul)_\w+)\.(\w+)");
        let missing: Vec<_> = resources.difference(&module.names("resource")).cloned().collect();
        assert!(missing.is_empty(), "{name} refers to {missing:?}");
        let calls: Vec<_> = used(r"\bmodule\.(\w+)").difference(&module.names("module")).cloned().collect();
        assert!(calls.is_empty(), "{name} refers to the modules {calls:?}");
    }
}

#[test]
fn given_each_variable_and_output_then_it_says_what_it_is() {
    for name in ALL {
        let module = Module::read(name);
        for kind in ["variable", "output"] {
            for block in module.blocks(kind) {
                let attributes: Vec<_> = block.body().attributes().map(hcl::Attribute::key).collect();
                let wanted = if kind == "variable" { "type" } else { "value" };
                for wanted in ["description", wanted] {
                    assert!(
                        attributes.contains(&wanted),
                        "{name}: {} has no {wanted}",
                        block.labels()[0].as_str()
                    );
                }
            }
        }
    }
}

#[test]
fn given_an_example_then_it_gives_each_module_what_that_needs_and_asks_for_what_it_puts_out() {
    for example in EXAMPLES {
        let module = Module::read(&format!("examples/{example}"));
        for call in module.blocks("module") {
            let source = source(call);
            let called = Module::read(source.strip_prefix("../../").expect("a module of ours"));
            let given: BTreeSet<_> =
                call.body().attributes().map(|attribute| attribute.key().to_owned()).collect();
            let declared: BTreeSet<_> =
                called.names("variable").into_iter().chain(["source".to_owned()]).collect();
            let unknown: Vec<_> = given.difference(&declared).collect();
            assert!(unknown.is_empty(), "{example} gives {unknown:?} to {source}");
            let defaults: BTreeSet<_> = called.defaults().keys().cloned().collect();
            let needed: Vec<_> =
                declared.iter().filter(|name| !given.contains(*name) && !defaults.contains(*name)).collect();
            assert!(needed.is_empty(), "{example} doesn't give {needed:?} to {source}");
            let name = call.labels()[0].as_str();
            let asked = found(&format!(r"\bmodule\.{name}\.(\w+)"), &module.text);
            let outputs = called.names("output");
            assert!(asked.is_subset(&outputs), "{example} asks {source} for {asked:?} of {outputs:?}");
        }
    }
}

#[test]
fn given_an_example_then_each_security_group_that_tasks_connect_to_lets_them_in() {
    for name in EXAMPLES {
        let example = Example::read(name);
        let egress = example.egress.as_object().expect("an object").iter();
        let by_group = egress.filter(|(_, to)| to["security_group_id"].is_string());
        let by_group: serde_json::Map<_, _> = by_group.map(|(name, to)| (name.clone(), to.clone())).collect();
        assert!(by_group.contains_key("kafka") && by_group.contains_key("registry"), "{name}: {by_group:?}");
        assert_eq!(json!(by_group), example.neighbours, "{name}");
        let text = Module::read(&format!("examples/{name}")).text;
        let rule = r#"resource "aws_vpc_security_group_ingress_rule" "neighbours" {
  for_each = local.neighbours
"#;
        assert!(text.contains(rule), "{name}");
    }
}

#[test]
fn given_modules_that_belong_together_then_they_ask_for_the_same_provider() {
    let asked: BTreeSet<_> = ALL
        .iter()
        .flat_map(|name| found(r#""hashicorp/aws"\s+version = "([^"]+)""#, &Module::read(name).text))
        .collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn given_keys_in_consul_then_the_valve_is_made_after_them() {
    let keys = Module::read("modules/consul-keys");
    let output = keys.blocks("output").find(|block| block.labels()[0].as_str() == "environment");
    let attributes = output.expect("an output").body().attributes();
    assert!(attributes.map(hcl::Attribute::key).any(|key| key == "depends_on"), "nothing waits for the keys");
    let asked =
        found(r"environment = module\.(\w+)\.environment", &Module::read("examples/holding-tank").text);
    assert_eq!(asked, ["own_settings", "shared_settings"].map(str::to_owned).into());
}
