//! The examples of `terraform/examples`, with made-up values for what they ask.

use std::collections::BTreeMap;

use hcl::eval::Evaluate as _;
use hcl::{Block, Map, Value};

use super::module::{Module, functions, json, object};

/// All examples.
pub(super) const EXAMPLES: &[&str] = &["archive", "holding-tank"];

/// What is given for the variables of an example.
const GIVEN: &[(&str, &str)] = &[
    ("environment", "prod"),
    ("image", "registry.example/valve@sha256:0"),
    ("region", "eu-central-1"),
    ("bucket", "events"),
    ("kms_key_arn", "arn:aws:kms:eu-central-1:1:key/1"),
    ("kafka_secret_arn", "arn:aws:secretsmanager:eu-central-1:1:secret:kafka"),
    ("kafka_security_group_id", "sg-1"),
    ("registry_url", "https://registry.example"),
    ("registry_port", "443"),
    ("registry_security_group_id", "sg-2"),
    ("cluster", "data"),
    ("vpc_id", "vpc-1"),
    ("vpc_cidr", "10.0.0.0/16"),
    ("s3_prefix_list_id", "pl-1"),
    ("consul_address", "consul.example:8501"),
    ("consul_security_group_id", "sg-3"),
    ("consul_token_secret_arn", "arn:aws:secretsmanager:eu-central-1:1:secret:consul"),
    ("agent_image", "registry.example/agent@sha256:0"),
];
const GIVEN_LISTS: &[(&str, &[&str])] = &[
    ("kafka_bootstrap_servers", &["kafka-1.example:9096", "kafka-2.example:9096"]),
    ("subnet_ids", &["subnet-1", "subnet-2"]),
    ("alarm_actions", &["arn:aws:sns:eu-central-1:1:alarms"]),
];

/// What comes of the valve's module in one example.
pub(super) struct Example {
    /// The module's locals.
    pub(super) locals: serde_json::Value,
    /// The keys that the example puts into Consul, with their values.
    pub(super) in_consul: Vec<(String, String)>,
    /// What the tasks may connect to.
    pub(super) egress: serde_json::Value,
    /// Whose security groups the example opens to the tasks.
    pub(super) neighbours: serde_json::Value,
}

impl Example {
    /// Evaluates `terraform/examples/<name>`.
    pub(super) fn read(name: &str) -> Self {
        let example = Module::read(&format!("examples/{name}"));
        let given = Given::of(&example);
        let module = Module::read("modules/valve");
        let of_valve = calls(&example, "valve").next().expect("the example has a valve");
        let resources = BTreeMap::from([("aws_cloudwatch_log_group", "name"), ("aws_iam_role", "arn")]);
        let resources = resources.into_iter().map(|(kind, attribute)| {
            (kind.to_owned(), object(&[("this", object(&[(attribute, "there".into())]))]))
        });
        let locals = module.evaluate(&given.arguments(of_valve), &resources.collect());
        let consul_keys = Module::read("modules/consul-keys");
        let keys = calls(&example, "consul-keys").flat_map(|block| {
            let locals = consul_keys.evaluate(&given.arguments(block), &Map::new());
            locals["keys"].as_object().cloned().expect("keys")
        });
        let in_consul = keys.map(|(key, value)| (key, value.as_str().expect("text").to_owned()));
        let egress = json(&given.arguments(of_valve)["egress"]);
        let neighbours = given.locals.get("neighbours").map_or(serde_json::Value::Null, json);
        Self { in_consul: in_consul.collect(), locals: json(&Value::Object(locals)), egress, neighbours }
    }

    /// A list of `name` and a value, as task definitions have them, of the container called `container`.
    pub(super) fn pairs(&self, container: &str, list: &str, value: &str) -> BTreeMap<String, String> {
        let text = |pair: &serde_json::Value, key: &str| pair[key].as_str().expect("text").to_owned();
        let pairs = self.container(container)[list].as_array().expect("a list");
        pairs.iter().map(|pair| (text(pair, "name"), text(pair, value))).collect()
    }

    /// The container called `name`.
    pub(super) fn container(&self, name: &str) -> &serde_json::Value {
        let containers = self.locals["containers"].as_array().expect("containers");
        containers
            .iter()
            .find(|container| container["name"] == name)
            .unwrap_or_else(|| panic!("no container {name}"))
    }
}

/// What an example has, for the modules that it calls.
struct Given {
    variables: Map<String, Value>,
    locals: Map<String, Value>,
    /// The modules' outputs.
    modules: Map<String, Value>,
}

impl Given {
    fn of(example: &Module) -> Self {
        let variables = variables(example);
        let locals = example.evaluate(&variables, &Map::new());
        let outputs = |call: &Block| {
            let names = Module::read(source(call).trim_start_matches("../")).names("output");
            // These are called as what they come from.
            let known =
                names.into_iter().filter_map(|name| Some((name.clone(), variables.get(&name)?.clone())));
            (call.labels()[0].as_str().to_owned(), Value::Object(known.collect()))
        };
        let modules = example.blocks("module").map(outputs).collect();
        Self { variables, locals, modules }
    }

    /// What a call gives to its module.
    fn arguments(&self, call: &Block) -> Map<String, Value> {
        let mut context = functions();
        for (name, known) in [("var", &self.variables), ("local", &self.locals), ("module", &self.modules)] {
            context.declare_var(name, known.clone());
        }
        let attributes = call.body().attributes().filter(|attribute| attribute.key() != "source");
        let evaluated = attributes.map(|attribute| {
            let value = attribute.expr().evaluate(&context);
            (attribute.key().to_owned(), value.unwrap_or_else(|error| panic!("{}: {error}", attribute.key())))
        });
        evaluated.collect()
    }
}

/// A value for each variable of an example.
fn variables(example: &Module) -> Map<String, Value> {
    let value = |name: String| {
        let text = GIVEN.iter().find(|(known, _)| *known == name).map(|(_, value)| Value::from(*value));
        let list = GIVEN_LISTS.iter().find(|(known, _)| *known == name);
        let list = list.map(|(_, values)| values.iter().copied().map(Value::from).collect());
        let value = text.or(list).unwrap_or_else(|| panic!("nothing is made up for the variable {name}"));
        (name, value)
    };
    example.names("variable").into_iter().map(value).collect()
}

/// The calls of one of our modules.
pub(super) fn calls<'a>(example: &'a Module, module: &'a str) -> impl Iterator<Item = &'a Block> {
    example.blocks("module").filter(move |block| source(block).ends_with(&format!("/{module}")))
}

/// Where a called module is.
pub(super) fn source(call: &Block) -> String {
    let source = call.body().attributes().find(|attribute| attribute.key() == "source").expect("a source");
    source.expr().evaluate(&functions()).expect("a constant").as_str().expect("text").to_owned()
}
