//! Scenario files: the catalogue reads, is whole and keeps to the schema; every kind of mistake has its message.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use scenarios::{Scenario, catalogue, schema};

mod schema_check;

/// The tale that every mistake below spoils in one place.
const GOOD: &str = r#"title = "A tale"
teaches = "A lesson."

[cluster]
brokers = 3
duration = "30s"

[[topics]]
name = "orders"
partitions = 3

[[producers]]
topic = "orders"
rate = "200/s"

[[consumers]]
topics = ["orders"]
sleeps = { every = "5s..9s", for = "3s" }

[[faults]]
at = "4s"
crash = "leader of orders/0"
for = "6s"

[expect]
reach = ["leader changed"]
"#;

fn refusal(text: &str) -> String {
    let error = Scenario::parse("tale.toml", text).expect_err(text);
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let mut shown = String::new();
    miette::GraphicalReportHandler::new_themed(theme).with_width(110).render_report(&mut shown, &error).unwrap();
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Replaces one line's text and shows what is said about it.
fn spoiled(good: &str, bad: &str) -> String {
    assert_eq!(GOOD.matches(good).count(), 1, "{good} is not in the good tale once");
    refusal(&GOOD.replace(good, bad))
}

macro_rules! mistakes {
    ($($name:ident: $good:literal => $bad:literal;)+) => {
        $(#[test] fn $name() { insta::assert_snapshot!(spoiled($good, $bad)); })+
    };
}

mistakes! {
    a_rack_where_no_broker_stands: "topics = [\"orders\"]\n" => "topics = [\"orders\"]\nrack = \"north\"\n";
    an_unknown_key_is_answered_with_the_nearest: "brokers = 3" => "brokrs = 3";
    an_unknown_key_far_from_all_is_answered_with_the_list: "brokers = 3" => "xyzzy = 3";
    an_unknown_table_is_refused: "[expect]" => "[expects]";
    an_unknown_fault_is_answered_with_the_nearest: "crash = " => "crsh = ";
    an_unknown_key_of_an_inline_table_is_refused: "sleeps = { every" => "sleeps = { evry";
    a_missing_key_is_named: "title = \"A tale\"\n" => "";
    a_number_where_a_time_belongs: "at = \"4s\"" => "at = 4";
    a_time_without_a_unit: "at = \"4s\"" => "at = \"4\"";
    a_range_that_goes_backward: "5s..9s" => "9s..5s";
    a_rate_of_nothing: "200/s" => "0/s";
    a_selector_with_a_slip: "leader of orders/0" => "leadr of orders/0";
    a_selector_of_nobody: "leader of orders/0" => "the big one";
    a_partition_that_no_topic_has: "leader of orders/0" => "leader of orders/3";
    a_topic_that_is_not_there: "leader of orders/0" => "leader of order/0";
    a_broker_that_is_not_there: "leader of orders/0" => "broker 4";
    more_replicas_than_brokers: "partitions = 3" => "replicas = 5";
    more_in_sync_than_replicas: "partitions = 3" => "replicas = 1";
    a_fault_after_the_end: "at = \"4s\"" => "at = \"31s\"";
    a_fault_without_a_time: "at = \"4s\"\n" => "";
    a_fault_with_two_times: "at = \"4s\"" => "at = \"4s\"\nevery = \"5s\"";
    a_fault_with_bounds_and_one_time: "at = \"4s\"" => "at = \"4s\"\nbetween = \"4s..5s\"";
    a_fault_without_a_kind: "crash = \"leader of orders/0\"\n" => "";
    a_fault_with_two_kinds: "for = \"6s\"" => "pause = \"broker 1\"\nfor = \"6s\"";
    a_fault_that_comes_without_pause: "at = \"4s\"" => "every = \"0s..5s\"";
    a_cut_with_nobody_on_the_other_side: "crash = \"leader of orders/0\"" => "partition = { split = \"all brokers\" }";
    a_direction_that_is_none: "crash = \"leader of orders/0\"" => "hold = { split = \"broker 1\", direction = \"bth\" }";
    a_client_has_no_disk: "crash = \"leader of orders/0\"" => "full_disk = \"consumer 1\"";
    a_sleep_without_a_time: "every = \"5s..9s\", " => "";
    a_wrong_acks: "rate = \"200/s\"" => "acks = \"some\"";
    an_idempotent_producer_that_does_not_wait: "rate = \"200/s\"" => "acks = \"1\"\nidempotent = true";
    a_producer_of_an_unknown_topic: "topic = \"orders\"" => "topic = \"ordrs\"";
    two_ways_to_choose_a_partition: "rate = \"200/s\"" => "keys = 3\npartition = 0";
    a_configuration_key_with_a_slip: "duration = \"30s\"" => "[cluster.config]\n\"replica.lag.time.ms\" = 3000";
    a_configuration_key_without_quotes: "duration = \"30s\"" => "config.replica.lag.time.max.ms = 3000";
    a_configuration_value_of_the_wrong_kind: "duration = \"30s\"" => "config.\"max.connections\" = \"many\"";
    an_expectation_that_nothing_reaches: "leader changed" => "leader chnged";
    a_promise_that_nobody_makes: "reach = [\"leader changed\"]" => "broken = [\"acknowledged records survived\"]";
    a_run_of_no_time: "30s" => "0s";
    a_topic_twice: "[[producers]]" => "[[topics]]\nname = \"orders\"\n\n[[producers]]";
    a_name_that_no_topic_can_have: "name = \"orders\"" => "name = \"orders/eu\"";
    broken_toml: "partitions = 3" => "partitions = ";
    another_format: "title = \"A tale\"" => "format = 2\ntitle = \"A tale\"";
    a_format_that_is_no_number: "title = \"A tale\"" => "format = \"one\"\ntitle = \"A tale\"";
    a_phase_that_is_not_there: "at = \"4s\"" => "at = \"4s\"\nduring = \"storm\"";
    a_phase_with_a_slip: "crash = \"leader of orders/0\"\nfor = \"6s\"" => "during = \"strom\"\ncrash = \"broker 1\"\n[[phases]]\nname = \"storm\"\nfor = \"9s\"";
    a_phase_twice: "[expect]" => "[[phases]]\nname = \"storm\"\nfor = \"9s\"\n[[phases]]\nname = \"storm\"\nfor = \"9s\"\n[expect]";
    a_phase_of_no_time: "[expect]" => "[[phases]]\nname = \"storm\"\nfor = \"0s\"\n[expect]";
    phases_that_outlast_the_run: "[expect]" => "[[phases]]\nname = \"storm\"\nfor = \"20s..31s\"\n[expect]";
    a_fault_after_the_end_of_its_phase: "at = \"4s\"\ncrash = \"leader of orders/0\"\nfor = \"6s\"" => "at = \"9s\"\nduring = \"storm\"\ncrash = \"broker 1\"\n[[phases]]\nname = \"storm\"\nfor = \"9s\"";
    a_bandwidth_without_a_unit: "crash = \"leader of orders/0\"" => "bandwidth = { of = \"broker 1\", rate = \"100\" }";
    a_reset_that_lasts: "crash = \"leader of orders/0\"" => "reset = { of = \"broker 1\" }";
    a_ring_of_three: "crash = \"leader of orders/0\"" => "ring = \"all brokers\"";
    a_bridge_of_clients: "crash = \"leader of orders/0\"" => "bridge = \"consumer 1\"";
    a_flap_that_never_rests: "crash = \"leader of orders/0\"" => "flap = { of = \"broker 1\", up = \"1ms\", down = \"1s\" }";
    a_swizzle_without_steps: "crash = \"leader of orders/0\"" => "swizzle = { of = \"all brokers\" }";
    a_selector_of_several_with_a_slip: "leader of orders/0" => "broker 1 and brokr 2";
    one_of_several_that_is_not_there: "leader of orders/0" => "broker 1 and broker 9";
    more_brokers_than_there_are: "leader of orders/0" => "any 4 brokers";
    a_promise_that_must_break_and_may: "reach = [\"leader changed\"]" => "broken = [\"metadata agrees\"]\nallowed = [\"metadata agrees\"]";
    a_failover_in_no_time: "reach = [\"leader changed\"]" => "failover_at_most = \"0s\"";
    a_voter_that_is_no_controller: "[expect]" => "[[changes]]\nat = \"1s\"\nadd_voter = 9\n[expect]";
    an_election_that_the_claims_forbid: "[expect]" => "[[changes]]\nat = \"1s\"\nelect_unclean = \"orders\"\n[expect]";
    a_claim_that_is_none: "[expect]" => "[claims]\nunclean_elections = true\n[expect]";
    an_isolation_that_is_none: "[expect]" => "[claims]\nisolation = \"read_comitted\"\n[expect]";
    a_key_twice: "brokers = 3" => "brokers = 3\nbrokers = 4";
}

#[test]
fn a_tale_without_clients_has_nothing_to_do() {
    insta::assert_snapshot!(refusal("title = \"t\"\nteaches = \"l\"\n[[topics]]\nname = \"orders\"\n"));
}

#[test]
fn an_empty_file_is_refused() {
    insta::assert_snapshot!(refusal(""));
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    insta::assert_snapshot!(refusal(&"#".repeat(2 << 20)));
}

#[test]
fn a_mistake_says_its_line_and_column() {
    let error = Scenario::parse("tale.toml", &GOOD.replace("at = \"4s\"", "at = \"4\"")).unwrap_err();
    assert_eq!(error.place(), (21, 6));
    assert_eq!(error.to_string(), "tale.toml:21:6: \"4\" is not a span of time");
}

#[test]
fn every_tale_of_the_catalogue_reads_and_reads_back_what_it_writes() {
    for tale in catalogue() {
        let scenario = tale.scenario().unwrap_or_else(|error| panic!("{error}"));
        let text = scenario.to_toml();
        assert_eq!(Scenario::parse(tale.path, &text).unwrap(), scenario, "{text}");
        assert!(!scenario.expect.reach.is_empty(), "{} may prove nothing", tale.path);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test looks at the project's own files")]
fn every_file_is_in_the_catalogue() {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for theme in std::fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&theme).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|ending| ending == "toml") {
                files.push(file.strip_prefix(room).unwrap().to_str().unwrap().to_string());
            }
        }
    }
    let mut listed: Vec<String> = catalogue().iter().map(|tale| tale.path.to_string()).collect();
    files.sort();
    listed.sort();
    assert_eq!(files, listed);
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for (good, bad) in [
        ("brokers = 3", "brokrs = 3"),
        ("brokers = 3", "brokers = 99"),
        ("at = \"4s\"", "at = 4"),
        ("at = \"4s\"", "at = \"4\""),
        ("leader of orders/0", "leadr of orders/0"),
        ("5s..9s", "5s..9"),
        ("title = \"A tale\"\n", ""),
    ] {
        let value: serde_json::Value = toml::from_str(&GOOD.replace(good, bad)).unwrap();
        schema_check::check(&schema(), &value).expect_err(bad);
    }
}

#[test]
fn a_scenario_is_written_as_people_write_it() {
    insta::assert_snapshot!(Scenario::parse("tale.toml", GOOD).unwrap().to_toml());
}

#[test]
fn the_short_form_of_a_promise_means_the_promise() {
    let text = GOOD.replace("reach = [\"leader changed\"]", "broken = [\"acked records survive\"]");
    assert_eq!(Scenario::parse("tale.toml", &text).unwrap().expect.broken, ["acknowledged records survive"]);
}

#[test]
fn a_run_is_as_long_as_its_longest_client() {
    let tale = |from: &str, to: &str| Scenario::parse("tale.toml", &GOOD.replace(from, to)).unwrap().length().as_secs();
    assert_eq!(tale("", ""), 30);
    assert_eq!(tale("duration = \"30s\"", ""), 30);
    let text =
        GOOD.replace("duration = \"30s\"", "").replace("\"200/s\"", "\"1/s\"\nstarts = \"2s\"\nfor = \"9s..11s\"");
    assert_eq!(Scenario::parse("tale.toml", &text).unwrap().length().as_secs(), 13);
}

proptest! {
    /// Whatever is put anywhere into a file, it is read or refused with a message that can be shown.
    #[test]
    fn no_text_makes_the_reader_or_its_message_panic(at in 0..GOOD.len(), cut in 0..40_usize, put in "[\\PC\n]{0,12}") {
        let start = (0..=at).rev().find(|place| GOOD.is_char_boundary(*place)).unwrap();
        let text = format!("{}{put}{}", &GOOD[..start], GOOD.get(start + cut..).unwrap_or(""));
        if Scenario::parse("tale.toml", &text).is_err() {
            prop_assert!(refusal(&text).contains("tale.toml"));
        }
    }
}
