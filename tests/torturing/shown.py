"""What else goes wrong with Kafka, and the end-to-end tests that show it: the page's second table."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "end_to_end"

# What happens, the module, the test.
SHOWN = [
    ("a partition added under a running valve", "logs",
     "given_a_partition_that_is_added_under_a_running_valve_then_it_is_read_from_its_beginning"),
    ("a topic deleted and created again", "rebalancing",
     "given_a_topic_that_is_deleted_and_created_again_then_the_new_ones_events_are_stored"),
    ("the same after a change of its leader", "torturing",
     "given_a_topic_that_is_deleted_and_created_again_after_its_leader_has_changed_then_the_new_one_is_stored"),
    ("topics deleted beside one that is written to", "subscribing",
     "given_topics_that_go_away_while_another_is_committed_then_that_one_is_committed_on"),
    ("a topic that may no longer be read", "secure_kafka",
     "given_one_topic_that_may_no_longer_be_read_then_the_others_are_committed_and_it_goes_on_once_it_may_be"),
    ("an unclean election, with the log grown again", "torturing",
     "given_an_unclean_election_and_a_log_that_has_grown_again_then_what_stands_in_the_place_of_what_was_read_is_stored"),
    ("retention that overtakes a stopped valve", "rebalancing",
     "given_retention_and_the_default_policy_then_the_partition_is_held_and_the_others_go_on"),
    ("retention that overtakes a running valve", "rebalancing",
     "given_retention_that_passes_a_running_valve_then_it_goes_on_behind_the_gap_and_reports_it"),
    ("records of a promised batch gone", "taking_over",
     "given_a_promise_whose_records_are_gone_then_the_partition_is_held_and_the_others_go_on"),
    ("aborted transactions", "stopping",
     "given_aborted_transactions_then_their_records_are_left_out_and_the_end_of_the_log_is_committed"),
    ("a compacted topic", "logs",
     "given_a_compacted_topic_then_what_is_left_of_it_is_stored_once_and_the_audit_proves_it"),
    ("batches of every compression", "logs",
     "given_batches_of_every_compression_then_every_event_is_stored_once"),
    ("messages of 10 MB", "bounded_memory",
     "given_messages_of_10_megabytes_then_they_are_drained_through_96_mebibytes"),
    ("`max.poll.interval.ms` exceeded", "rebalancing",
     "given_a_lane_that_polls_too_late_then_another_takes_its_partitions_and_it_joins_again"),
    ("a process stopped for longer than its session", "rebalancing",
     "given_a_valve_that_slept_past_its_session_then_its_commits_are_refused_and_it_joins_again"),
    ("offsets that the brokers forgot", "starting",
     "given_offsets_that_kafka_forgot_then_it_does_not_start_over_and_with_start_stored_it_goes_on"),
    ("processes killed, frozen and moved about", "killing",
     "given_valves_that_are_killed_and_sleep_and_come_and_go_then_every_event_is_stored_once"),
]


def missing():
    """Tests of the table that don't exist."""
    texts = {module: (TESTS / f"{module}.rs").read_text() for module in {module for _, module, _ in SHOWN}}
    return [name for _, module, name in SHOWN if not re.search(rf"^fn {name}\(", texts[module], re.MULTILINE)]


def rows():
    return "\n".join(f"| {what} | `{module}::{name}` |" for what, module, name in SHOWN)
