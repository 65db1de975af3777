//! A Python producer with Confluent's own serializer, given instructions (tools/produce.py).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::event::Event;
use crate::stack::Stack;

/// A producer process; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Producer {
    child: Child,
    instructions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Where a record ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
}

/// An event that is in Kafka.
#[derive(Clone, Debug)]
pub(crate) struct Produced {
    pub(crate) event: Event,
    /// The id in its wire header.
    pub(crate) schema: u32,
}

impl Producer {
    pub(crate) fn new(stack: &Stack) -> Self {
        Self::with_arguments(stack, &[])
    }

    /// One whose records belong to transactions.
    pub(crate) fn transactional(stack: &Stack, id: &str) -> Self {
        Self::with_arguments(stack, &[id])
    }

    fn with_arguments(stack: &Stack, arguments: &[&str]) -> Self {
        let mut command = stack.tool("produce.py");
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let instructions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, instructions, answers }
    }

    /// Gives instructions (see the tool) and waits for all their answers.
    pub(crate) fn obey(&mut self, instructions: &[Value]) -> Vec<Value> {
        let mut text: String = instructions.iter().map(|instruction| format!("{instruction}\n")).collect();
        text.push_str("{\"op\":\"flush\"}\n");
        self.instructions.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        let answers: Vec<Value> = instructions.iter().map(|_| self.answer()).collect();
        self.answer();
        for (instruction, answer) in instructions.iter().zip(&answers) {
            assert!(answer.get("error").is_none(), "{instruction}: {answer}");
        }
        answers
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the producer ended; it last said {line:?}"))
    }

    /// Serializes and produces events, in order.
    pub(crate) fn produce(&mut self, events: &[Event]) -> Vec<Produced> {
        let instructions: Vec<Value> = events.iter().map(Event::instruction).collect();
        let answers = self.obey(&instructions);
        let id = |answer: &Value| u32::try_from(answer["id"].as_u64().unwrap()).unwrap();
        events
            .iter()
            .zip(&answers)
            .map(|(event, answer)| Produced { event: event.clone(), schema: id(answer) })
            .collect()
    }

    /// An event's value, with its wire header, without producing it.
    pub(crate) fn serialize(&mut self, event: &Event) -> Vec<u8> {
        let mut instruction = event.instruction();
        instruction["op"] = json!("serialize");
        BASE64.decode(self.obey(&[instruction])[0]["bytes"].as_str().unwrap()).unwrap()
    }

    /// Produces a value as it is (or none) to partition 0.
    pub(crate) fn produce_raw(&mut self, topic: &str, value: Option<&[u8]>) -> Delivered {
        self.produce_with_headers(topic, value, &[])
    }

    /// Likewise, with headers.
    pub(crate) fn produce_with_headers(
        &mut self,
        topic: &str,
        value: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Delivered {
        let bytes = value.map(|value| BASE64.encode(value));
        let instruction =
            json!({"op": "raw", "topic": topic, "partition": 0, "bytes": bytes, "headers": headers});
        delivered(&self.obey(&[instruction])[0])
    }

    /// Registers a schema; its id and version.
    pub(crate) fn register(&mut self, subject: &str, schema: &str, references: &Value) -> (u32, i64) {
        let instruction =
            json!({"op": "register", "subject": subject, "schema": schema, "references": references});
        let answer = &self.obey(&[instruction])[0];
        (u32::try_from(answer["id"].as_u64().unwrap()).unwrap(), answer["version"].as_i64().unwrap())
    }

    /// A schema's text as the registry has it.
    pub(crate) fn schema_text(&mut self, id: u32) -> String {
        self.obey(&[json!({"op": "schema", "id": id})])[0]["text"].as_str().unwrap().to_owned()
    }
}

fn delivered(answer: &Value) -> Delivered {
    Delivered { partition: answer["partition"].as_i64().unwrap(), offset: answer["offset"].as_i64().unwrap() }
}

impl Drop for Producer {
    fn drop(&mut self) {
        drop(self.instructions.take());
        drop(self.child.wait());
    }
}
