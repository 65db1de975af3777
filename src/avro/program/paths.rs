//! The paths of all field candidates as one tree, so that the compiler follows them together.

use crate::avro::timestamp::{Candidate, TimestampRules, Unit};

/// How far a path has been followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node(usize);

impl Node {
    /// On no candidate's path.
    pub(super) const ASTRAY: Self = Self(0);
    /// At the datum's own record, where all paths begin.
    pub(super) const START: Self = Self(1);
}

/// A field candidate whose path ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Its number among the field candidates.
    pub(super) candidate: u8,
    /// The unit that it states.
    pub(super) unit: Option<Unit>,
}

#[derive(Debug, Default)]
struct Crossing {
    ways: Vec<(String, Node)>,
    target: Option<Target>,
}

#[derive(Debug)]
pub(super) struct PathTree {
    crossings: Vec<Crossing>,
}

impl PathTree {
    pub(super) fn new(rules: &TimestampRules) -> Self {
        let mut tree = Self { crossings: vec![Crossing::default(), Crossing::default()] };
        let fields = rules.candidates().iter().filter_map(|candidate| match candidate {
            Candidate::Field(path) => Some(path),
            Candidate::Kafka | Candidate::Processing => None,
        });
        for (path, candidate) in fields.zip(0..) {
            let end = path.names.iter().fold(Node::START, |node, name| tree.step_or_add(node, name));
            tree.crossings[end.0].target = Some(Target { candidate, unit: path.unit });
        }
        tree
    }

    /// Where the field `name` leads.
    pub(super) fn step(&self, node: Node, name: &str) -> Node {
        let ways = &self.crossings[node.0].ways;
        ways.iter().find(|(known, _)| known == name).map_or(Node::ASTRAY, |(_, next)| *next)
    }

    /// The candidate that looks for the value here.
    pub(super) fn target(&self, node: Node) -> Option<Target> {
        self.crossings[node.0].target
    }

    fn step_or_add(&mut self, node: Node, name: &str) -> Node {
        let known = self.step(node, name);
        if known != Node::ASTRAY {
            return known;
        }
        let new = Node(self.crossings.len());
        self.crossings.push(Crossing::default());
        self.crossings[node.0].ways.push((name.to_owned(), new));
        new
    }
}
