use proptest::prelude::*;
use serde_json::json;

use super::*;

fn raw(text: impl ToString, references: Vec<Reference>) -> RawSchema {
    RawSchema { text: text.to_string(), references }
}

fn refers(name: &str, text: impl ToString, references: Vec<Reference>) -> Reference {
    Reference { name: name.to_owned(), schema: raw(text, references) }
}

fn inlined(schema: &RawSchema) -> Value {
    serde_json::from_str(&inline(schema).expect("usable")).expect("JSON")
}

fn reason(schema: &RawSchema) -> String {
    inline(schema).expect_err("unusable").to_string()
}

/// A record of namespace `com.acme` with one field of each type.
fn order(types: &[Value]) -> Value {
    let fields = types.iter().enumerate().map(|(i, kind)| json!({"name": format!("f{i}"), "type": kind}));
    json!({"type": "record", "name": "Order", "namespace": "com.acme", "fields": fields.collect::<Vec<_>>()})
}

fn money() -> Value {
    json!({"type": "record", "name": "Money", "namespace": "com.acme.money", "doc": "An amount.",
           "aliases": ["Amount"], "owner": {"team": "billing"},
           "fields": [{"name": "units", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
                      {"name": "rate", "type": "double", "default": 1.0}]})
}

#[test]
fn given_no_references_then_the_text_is_untouched() {
    let text = " {\"type\":\"record\" , \"name\":\"E\",\"fields\":[] , \"n\": 1E0}\n";
    assert_eq!(inline(&raw(text, vec![])).expect("usable"), text);
}

#[test]
fn given_a_reference_used_twice_then_it_is_written_out_once_and_whole() {
    let schema = raw(
        order(&[json!("com.acme.money.Money"), json!(["null", "com.acme.money.Money"])]),
        vec![refers("com.acme.money.Money", money(), vec![])],
    );
    let expected = order(&[money(), json!(["null", "com.acme.money.Money"])]);
    assert_eq!(inline(&schema).expect("usable"), expected.to_string(), "down to the order of keys");
}

#[test]
fn given_uses_in_every_place_then_the_first_in_document_order_is_replaced() {
    let places = [
        json!({"type": "array", "items": "com.acme.money.Money"}),
        json!({"type": "map", "values": {"type": "array", "items": "com.acme.money.Money"}}),
        json!(["null", {"type": "map", "values": "com.acme.money.Money"}]),
        json!({"type": "com.acme.money.Money"}),
        json!({"type": "record", "name": "Inner", "fields": [{"name": "m", "type": "com.acme.money.Money"}]}),
    ];
    for place in places {
        let schema = raw(
            order(&[place.clone(), json!("com.acme.money.Money")]),
            vec![refers("com.acme.money.Money", money(), vec![])],
        );
        let text = inline(&schema).expect("usable");
        let first = text.find("\"doc\":\"An amount.\"").expect("written out");
        assert_eq!(text.matches("\"doc\":\"An amount.\"").count(), 1, "{text}");
        assert!(first < text.find("\"name\":\"f1\"").expect("the second field"), "{text}");
        assert_eq!(inlined(&schema)["fields"][1]["type"], "com.acme.money.Money");
    }
}

#[test]
fn given_references_of_references_then_all_are_written_out_depth_first() {
    let currency = json!({"type": "enum", "name": "Currency", "namespace": "iso", "symbols": ["EUR", "USD"]});
    let price = json!({"type": "record", "name": "Price", "namespace": "com.acme",
                       "fields": [{"name": "currency", "type": "iso.Currency"}]});
    let schema = raw(
        order(&[json!("Price"), json!("iso.Currency")]),
        vec![
            refers("com.acme.Price", &price, vec![refers("iso.Currency", &currency, vec![])]),
            refers("iso.Currency", &currency, vec![]),
        ],
    );
    let written = inlined(&schema);
    assert_eq!(written["fields"][0]["type"]["fields"][0]["type"], currency);
    assert_eq!(written["fields"][1]["type"], "iso.Currency");
}

#[test]
fn given_a_part_without_namespace_then_it_does_not_inherit_one() {
    let part = json!({"type": "record", "name": "Point", "fields": [
        {"name": "x", "type": "double"}, {"name": "next", "type": ["null", "Point"]}]});
    let written = inlined(&raw(order(&[json!("Point")]), vec![refers("Point", part, vec![])]));
    let point = &written["fields"][0]["type"];
    assert_eq!(point["namespace"], "");
    let keys: Vec<_> = point.as_object().expect("a record").keys().collect();
    assert_eq!(keys, ["type", "name", "namespace", "fields"]);
}

#[test]
fn given_a_simple_name_then_the_enclosing_namespace_comes_first() {
    let fixed = |namespace: &str, size: u8| json!({"type": "fixed", "name": "Id", "namespace": namespace, "size": size});
    let schema = raw(
        order(&[json!("Id")]),
        vec![refers("Id", fixed("", 1), vec![]), refers("com.acme.Id", fixed("com.acme", 2), vec![])],
    );
    assert_eq!(inlined(&schema)["fields"][0]["type"]["size"], 2);
}

#[test]
fn given_a_type_without_namespace_named_again_inside_one_then_it_is_unusable() {
    let part = json!({"type": "fixed", "name": "Id", "size": 4});
    let schema = raw(order(&[json!("Id"), json!("Id")]), vec![refers("Id", part, vec![])]);
    assert!(reason(&schema).contains("`Id`, which has no namespace"), "{}", reason(&schema));
}

#[test]
fn given_a_nested_type_used_before_its_outer_one_then_it_moves_to_its_first_use() {
    let item = json!({"type": "record", "name": "Item", "fields": [{"name": "sku", "type": "string"}]});
    let cart = json!({"type": "record", "name": "Cart", "namespace": "shop",
                      "fields": [{"name": "items", "type": {"type": "array", "items": item}}]});
    let schema =
        raw(order(&[json!("shop.Item"), json!("shop.Cart")]), vec![refers("shop.Cart", cart, vec![])]);
    let written = inlined(&schema);
    assert_eq!(written["fields"][0]["type"]["namespace"], "shop");
    assert_eq!(written["fields"][1]["type"]["fields"][0]["type"]["items"], "shop.Item");
}

#[test]
fn given_a_union_of_references_at_the_top_then_each_branch_is_written_out() {
    let event = |name: &str| json!({"type": "record", "name": name, "namespace": "e", "fields": []});
    let schema = raw(
        json!(["e.Created", "e.Deleted"]),
        vec![refers("e.Deleted", event("Deleted"), vec![]), refers("e.Created", event("Created"), vec![])],
    );
    assert_eq!(inlined(&schema), json!([event("Created"), event("Deleted")]));
}

#[test]
fn given_a_reference_that_is_not_used_then_it_is_left_out() {
    let schema = raw(order(&[json!("int")]), vec![refers("com.acme.money.Money", money(), vec![])]);
    assert_eq!(inlined(&schema), order(&[json!("int")]));
}

#[test]
fn given_numbers_in_defaults_then_they_survive() {
    let numbers = "[1.0,-1,9223372036854775807,0.1,123456.78901234567,5e-324,1.7976931348623157e308]";
    let text = format!(
        r#"{{"type":"record","name":"E","numbers":{numbers},"fields":[
            {{"name":"d","type":"double","default":1.0}},{{"name":"l","type":"long","default":9223372036854775807}},
            {{"name":"m","type":"com.acme.money.Money"}}]}}"#
    );
    let text = inline(&raw(text, vec![refers("com.acme.money.Money", money(), vec![])])).expect("usable");
    assert!(text.contains(r#""type":"double","default":1.0}"#), "{text}");
    assert!(text.contains(r#""default":9223372036854775807"#), "{text}");
    assert!(text.contains(&numbers.replace("e308", "e+308")) || text.contains(numbers), "{text}");
}

#[test]
fn given_what_cannot_be_inlined_then_the_reason_names_it() {
    let named = |name: &str| json!({"type": "fixed", "name": name, "namespace": "a", "size": 1});
    let other = json!({"type": "fixed", "name": "X", "namespace": "a", "size": 2});
    let using = order(&[json!("a.X")]);
    let cases = [
        (raw(&using, vec![refers("a.X", named("Y"), vec![])]), "the reference `a.X` defines `a.Y`"),
        (raw(&using, vec![refers("a.X", "{", vec![])]), "the reference `a.X` is not valid JSON"),
        (raw(&using, vec![refers("a.X", "\"string\"", vec![])]), "`a.X` is not a record, enum or fixed"),
        (raw(&using, vec![refers("a.Y", named("Y"), vec![])]), "`a.X` is used, but neither"),
        (
            raw(&using, vec![refers("a.X", named("X"), vec![]), refers("a.X", &other, vec![])]),
            "`a.X` is defined twice",
        ),
        (raw(order(&[other]), vec![refers("a.X", named("X"), vec![])]), "`a.X` is defined twice"),
        (raw("[", vec![refers("a.X", named("X"), vec![])]), "the schema is not valid JSON"),
        (
            raw(order(&[json!({"type": "array"})]), vec![refers("a.X", named("X"), vec![])]),
            "with its references inlined, the schema",
        ),
    ];
    for (schema, expected) in cases {
        assert!(reason(&schema).contains(expected), "{expected}: {}", reason(&schema));
    }
}

#[test]
fn given_a_chain_of_references_too_deep_then_it_is_unusable() {
    let name = |i: usize| format!("n.R{i}");
    let references = (0..100).map(|i| {
        let next = if i == 99 { "int".to_owned() } else { name(i + 1) };
        let text = json!({"type": "record", "name": name(i), "fields": [{"name": "f", "type": next}]});
        refers(&name(i), text, vec![])
    });
    let schema = raw(order(&[json!("n.R0")]), references.collect());
    assert!(reason(&schema).contains("levels deep"), "{}", reason(&schema));
}

#[test]
fn given_too_much_text_then_it_is_unusable() {
    let large = json!({"type": "fixed", "name": "a.X", "size": 1, "doc": "x".repeat(MAX_TEXT_BYTES)});
    let schema = raw(order(&[json!("int")]), vec![refers("a.X", large, vec![])]);
    assert!(reason(&schema).contains("bytes"), "{}", reason(&schema));
}

#[test]
fn given_types_that_share_types_many_times_then_the_result_stays_small() {
    let name = |i: usize| format!("n.R{i}");
    let references = (0..20).map(|i| {
        let next = if i == 19 { "int".to_owned() } else { name(i + 1) };
        let fields = json!([{"name": "a", "type": next}, {"name": "b", "type": next}]);
        refers(&name(i), json!({"type": "record", "name": name(i), "fields": fields}), vec![])
    });
    let schema = raw(order(&[json!("n.R0")]), references.collect());
    assert!(inline(&schema).expect("usable").len() < 4000);
}

proptest! {
    /// Definition `i` uses any of the later ones, in any namespace; whatever the order of the references, all the
    /// names used are defined once, and the parser finds the same types as in the parts.
    #[test]
    fn given_any_acyclic_set_of_references_then_the_result_parses_to_the_same_types(
        uses in prop::collection::vec(prop::collection::vec(0usize..8, 0..4), 1..8),
        namespaces in prop::collection::vec(prop::sample::select(vec!["a", "a.b", "c"]), 8),
        seed in any::<usize>(),
    ) {
        let count = uses.len();
        let name = |i: usize| format!("{}.T{i}", namespaces[i % 8]);
        let mut reached = BTreeSet::new();
        let mut queue = vec![0];
        let texts: Vec<Value> = (0..count).map(|i| {
            let fields = uses[i].iter().enumerate().filter(|(_, used)| i + 1 + **used < count).map(|(f, used)| {
                json!({"name": format!("f{f}"), "type": name(i + 1 + used)})
            });
            json!({"type": "record", "name": format!("T{i}"), "namespace": namespaces[i % 8],
                   "fields": fields.collect::<Vec<_>>()})
        }).collect();
        while let Some(i) = queue.pop() {
            if reached.insert(name(i)) {
                queue.extend(uses[i].iter().map(|used| i + 1 + used).filter(|j| *j < count));
            }
        }
        let mut references: Vec<_> = (1..count).map(|i| refers(&name(i), &texts[i], vec![])).collect();
        let len = references.len().max(1);
        references.rotate_left(seed % len);
        let text = inline(&raw(&texts[0], references)).expect("usable");
        let schema = schema::parse(&text).expect("valid");
        let found = schema::definitions(&schema).expect("valid").keys().map(ToString::to_string).collect();
        prop_assert_eq!(reached, found);
    }

    /// No text, however broken, makes it panic.
    #[test]
    fn given_any_json_as_schema_and_part_then_nothing_panics(main in any_json(), part in any_json()) {
        let schema = raw(main, vec![refers("a.X", part, vec![])]);
        prop_assert!(inline(&schema).is_ok() || !reason(&schema).is_empty());
    }
}

/// JSON made of the words of Avro.
fn any_json() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["record", "fixed", "array", "a.X", "X", "a", ".X", "", "int", "map"]);
    let leaf = prop_oneof![word.prop_map(Value::from), Just(Value::Null), any::<i64>().prop_map(Value::from)];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let key =
            prop::sample::select(vec!["type", "name", "namespace", "fields", "items", "values", "size"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
