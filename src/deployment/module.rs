//! A Terraform module as data, and the values of its locals.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use hcl::{Block, Map, Value};

/// Where Terraform's files are.
pub(super) fn directory(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform").join(of)
}

/// All modules, the examples too.
pub(super) const ALL: &[&str] =
    &["modules/valve", "modules/bucket", "modules/consul-keys", "examples/archive", "examples/holding-tank"];

/// The files of one directory.
pub(super) struct Module {
    /// All files, one after the other, without comments.
    pub(super) text: String,
    blocks: Vec<Block>,
}

impl Module {
    /// Reads and parses `terraform/<name>`.
    pub(super) fn read(name: &str) -> Self {
        let entries = fs::read_dir(directory(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "tf"));
        let (mut text, mut blocks) = (String::new(), Vec::new());
        for path in paths {
            let file = fs::read_to_string(&path).unwrap();
            let body = hcl::parse(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            blocks.extend(body.into_blocks());
            let code = file.lines().filter(|line| !line.trim_start().starts_with('#'));
            code.for_each(|line| text.extend([line, "\n"]));
        }
        Self { text, blocks }
    }

    /// The blocks of one kind, such as `resource`.
    pub(super) fn blocks<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.identifier() == kind)
    }

    /// The labels of the blocks of one kind, joined by dots: `aws_iam_role.task`.
    pub(super) fn names(&self, kind: &str) -> BTreeSet<String> {
        let name =
            |block: &Block| block.labels().iter().map(hcl::BlockLabel::as_str).collect::<Vec<_>>().join(".");
        self.blocks(kind).map(name).collect()
    }

    /// The names of all locals.
    pub(super) fn locals(&self) -> BTreeSet<String> {
        let attributes = self.blocks("locals").flat_map(|block| block.body().attributes());
        attributes.map(|attribute| attribute.key().to_owned()).collect()
    }

    /// The variables that a caller needn't give, with what they are then.
    pub(super) fn defaults(&self) -> Map<String, Value> {
        let default = |block: &Block| {
            let attribute = block.body().attributes().find(|attribute| attribute.key() == "default")?;
            let value = attribute.expr().evaluate(&Context::new()).expect("a constant");
            Some((block.labels()[0].as_str().to_owned(), value))
        };
        self.blocks("variable").filter_map(default).collect()
    }

    /// The locals under these variables. Those that ask a resource for more than `resources` knows are left out.
    pub(super) fn evaluate(
        &self,
        given: &Map<String, Value>,
        resources: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut variables = self.defaults();
        variables.extend(given.clone());
        let attributes = self.blocks("locals").flat_map(|block| block.body().attributes());
        let mut open: BTreeMap<_, _> =
            attributes.map(|attribute| (attribute.key(), attribute.expr())).collect();
        let mut locals = Map::new();
        loop {
            let mut context = functions();
            context.declare_var("var", variables.clone());
            context.declare_var("local", locals.clone());
            resources.iter().for_each(|(name, value)| context.declare_var(name.as_str(), value.clone()));
            let found: Vec<_> = open
                .iter()
                .filter_map(|(name, expression)| {
                    Some(((*name).to_owned(), expression.evaluate(&context).ok()?))
                })
                .collect();
            if found.is_empty() {
                return locals;
            }
            open.retain(|name, _| !found.iter().any(|(known, _)| known == name));
            locals.extend(found);
        }
    }
}

/// An object, for [`Module::evaluate`].
pub(super) fn object(entries: &[(&str, Value)]) -> Value {
    Value::Object(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// As JSON, which is what becomes of it in the cloud.
pub(super) fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).expect("values are JSON")
}

/// The functions of Terraform's that the modules use.
pub(super) fn functions() -> Context<'static> {
    let text = || ParamType::String;
    let any = || ParamType::Any;
    let mut context = Context::new();
    let mut declare = |name: &str, definition: FuncDef| context.declare_func(name, definition);
    declare("upper", FuncDef::new(|args| Ok(words(&args)[0].to_uppercase().into()), [text()]));
    declare("replace", FuncDef::new(|args| Ok(replaced(&words(&args)).into()), [text(), text(), text()]));
    declare(
        "startswith",
        FuncDef::new(|args| Ok(words(&args)[0].starts_with(&words(&args)[1]).into()), [text(), text()]),
    );
    declare("trimprefix", FuncDef::new(|args| Ok(trimmed(&words(&args)).into()), [text(), text()]));
    declare("tostring", FuncDef::new(|args| Ok(shown(&args[0]).into()), [any()]));
    declare("jsonencode", FuncDef::new(|args| Ok(json(&args[0]).to_string().into()), [any()]));
    declare("keys", FuncDef::new(keys, [any()]));
    declare("join", FuncDef::new(join, [text(), any()]));
    declare("concat", FuncDef::builder().variadic_param(any()).build(concat));
    declare("merge", FuncDef::builder().variadic_param(any()).build(merge));
    context
}

fn words(args: &FuncArgs) -> Vec<String> {
    args.iter().map(shown).collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| json(value).to_string(), str::to_owned)
}

fn replaced(words: &[String]) -> String {
    words[0].replace(&words[1], &words[2])
}

fn trimmed(words: &[String]) -> String {
    words[0].strip_prefix(&words[1]).unwrap_or(&words[0]).to_owned()
}

fn keys(args: FuncArgs) -> Result<Value, String> {
    let object = args[0].as_object().ok_or("keys of what is no object")?;
    Ok(object.keys().cloned().collect())
}

fn join(args: FuncArgs) -> Result<Value, String> {
    let list = args[1].as_array().ok_or("join of what is no list")?;
    Ok(list.iter().map(shown).collect::<Vec<_>>().join(&shown(&args[0])).into())
}

fn concat(args: FuncArgs) -> Result<Value, String> {
    let lists = args.iter().map(|list| list.as_array().cloned().ok_or("concat of what is no list"));
    Ok(Value::Array(lists.collect::<Result<Vec<_>, _>>()?.concat()))
}

fn merge(args: FuncArgs) -> Result<Value, String> {
    let objects = args.iter().map(|object| object.as_object().cloned().ok_or("merge of what is no object"));
    Ok(Value::Object(objects.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
}
