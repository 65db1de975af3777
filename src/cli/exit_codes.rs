//! What the exit codes mean, as the help of each command says.

/// Shown under the help of every command.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or stopped by SIGTERM or Ctrl-C with everything read so far stored and committed
  1  failed while running, or could not store in time what had been read
  2  the configuration or the command line is wrong; nothing was read or written
  143  left at once at a second signal
Other commands have some of their own: see their help.

SIGTERM or Ctrl-C: store and commit what was read, then leave. A second one leaves at once.";

/// Shown under the help of `valve config`.
pub(super) const CONFIG_EXIT_CODES: &str = "\
Exit codes:
  0  the settings are right
  2  they aren't, or there is no such setting
  4  Consul, which has some of the settings, can't be read";

/// Shown under the help of `valve check`.
pub(super) const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0  valve could work here; there may be warnings
  1  it couldn't: at least one check failed
  2  the configuration or the command line is wrong; nobody was asked anything";

/// Shown under the help of `valve audit`.
pub(super) const AUDIT_EXIT_CODES: &str = "\
Exit codes:
  0  every offset is covered exactly once; with --from and --to: what lies in those hours fits
     together. Where no file of this valve does, the last line says so
  1  a gap, an overlap, a file that is missing or differs, or something that can't be proven; or the
     output could not be written
  2  the configuration or the command line is wrong
  3  every offset is accounted for, but some as lost before they were read, or in batches that
     `valve intents release` let go
  4  Kafka or the store could not be asked

It only reads. It may run beside valves that are at work: batches that weren't committed when it began are
left out. With --topic, only keys of today's layout.key are listed.";

/// Shown under the help of the commands on intents.
pub(super) const INTENTS_EXIT_CODES: &str = "\
Exit codes:
  0  shown, or released
  1  nothing was committed: no batch is promised there, the group has members, or it was not confirmed
  2  the configuration or the command line is wrong
  4  Kafka, the registry or the store could not be asked (`release` gives up after ten minutes); run
     it again to see where it stands";

/// Shown under the help of the commands on dead letters.
pub(super) const DEADLETTERS_EXIT_CODES: &str = "\
Exit codes:
  0  shown, or there was nothing to show
  1  of show: there is no such dead letter; of replay: see its help
  2  the configuration or the command line is wrong
  4  Kafka could not be asked; of show: the registry or the store could not";

/// Shown under the help of `valve healthcheck`; Docker knows no others.
pub(super) const HEALTHCHECK_EXIT_CODES: &str = "\
Exit codes:
  0  it lives, or with --ready: it is ready
  1  it isn't, or it couldn't be asked";

pub(super) const REPLAY_EXIT_CODES: &str = "\
Exit codes:
  0  sent, or there was nothing to send
  1  not all could be sent: it was interrupted by an outage or another replay, and running it again goes
     on; or their topics refuse some, which are named
  2  the configuration or the command line is wrong
  4  Kafka could not be asked; nothing was sent";

/// Shown under the help of `valve hours`.
pub(super) const HOURS_EXIT_CODES: &str = "\
Exit codes:
  0  told; with --hour: the hour is complete
  1  without --hour: a topic that --topic names isn't there, the others are told; or the output could
     not be written
  2  the configuration or the command line is wrong
  4  Kafka, the registry or the store could not be asked
  5  with --hour: the hour is not complete yet

It may run beside valves that are at work, and in several places at once.";
