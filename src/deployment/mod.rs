//! What `terraform/` and `docker-compose.yml` say of this program, held against the program: environment variables against the settings, metrics and
//! dimensions against the catalogue, rights against the calls of the store, limits against those that were simulated.
//!
//! Terraform itself can't check that, and without the cloud it can't even plan. So the expressions from which the tasks'
//! environment, containers, alarms and targets follow are evaluated here, for both examples.
//!
//! And what a release is made of: its dependencies, their licences and where they come from.

mod compose;
mod containers;
mod environment;
mod example;
mod image;
mod module;
mod references;
mod supply;
mod watching;
