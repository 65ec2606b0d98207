//! The language: its schema, its page in docs/, phases, claims and bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use scenarios::{Profile, Range, Reach, Scenario, When, catalogue, random, schema};

mod schema_check;

const PAGE: &str = include_str!("../../docs/scenarios.md");

/// Every example of the page as a whole scenario: what it leaves out is put in.
fn examples() -> Vec<String> {
    let blocks = PAGE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            if block.contains("title =") {
                return block.to_owned();
            }
            let mut text = format!("title = \"An example\"\nteaches = \"How it is written.\"\n{block}");
            for (header, content) in [
                ("[cluster]", "brokers = 5\n"),
                ("[[topics]]", "name = \"orders\"\n"),
                ("[[producers]]", "topic = \"orders\"\nfor = \"1min\"\n"),
                ("[[consumers]]", "topics = [\"orders\"]\n"),
            ] {
                if !block.contains(header) {
                    text.push_str(&format!("\n{header}\n{content}"));
                }
            }
            text
        })
        .collect()
}

#[test]
fn every_example_of_the_page_is_a_scenario() {
    let examples = examples();
    assert!(examples.len() > 8);
    for text in examples {
        let scenario = Scenario::parse("docs/scenarios.md", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(Scenario::parse("again.toml", &scenario.to_toml()).unwrap(), scenario);
    }
}

#[test]
fn every_key_and_every_word_of_the_language_is_on_the_page_and_in_an_example() {
    let schema = schema();
    let examples = examples().concat();
    let defined = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for key in defined.filter_map(|one| one["properties"].as_object()).flat_map(|keys| keys.keys()) {
        let is_told = ["`{}`", "`{} = ", "[{}]"].iter().any(|form| PAGE.contains(&form.replace("{}", key)));
        assert!(is_told, "{key} is not explained");
        let is_shown = ["{} = ", "[{}", ".{}]"].iter().any(|form| examples.contains(&form.replace("{}", key)));
        assert!(is_shown || ["seed", "group"].contains(&key.as_str()), "{key} is in no example");
    }
    for reach in Reach::ALL {
        assert!(PAGE.contains(reach.words()), "{reach} is not on the page");
    }
}

#[test]
fn the_schema_takes_every_tale_every_example_and_hundreds_of_random_scenarios() {
    let schema = schema();
    let check = |name: &str, text: &str| {
        let value: serde_json::Value = toml::from_str(text).unwrap();
        schema_check::check(&schema, &value).unwrap_or_else(|why| panic!("{name}: {why}\n{text}"));
    };
    catalogue().iter().for_each(|tale| check(tale.path, tale.text));
    examples().iter().for_each(|text| check("docs/scenarios.md", text));
    for profile in Profile::ALL {
        (0..150).for_each(|seed| check("random", &random(seed, *profile).to_toml()));
    }
}

fn example(extra: &str) -> Scenario {
    let text = format!(
        "title = \"t\"\nteaches = \"l\"\n[[phases]]\nname = \"calm\"\nfor = \"5s..8s\"\n[[phases]]\nname = \"storm\"\nfor = \"10s\"\n\
         [[topics]]\nname = \"orders\"\n{extra}"
    );
    Scenario::parse("t.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_run_with_phases_is_as_long_as_they_may_be() {
    let scenario = example("[[producers]]\ntopic = \"orders\"\n");
    assert_eq!(scenario.length(), Duration::from_secs(18));
    let storm = Range::between(Duration::from_secs(8), Duration::from_secs(18));
    assert_eq!(scenario.phase("storm"), Some(storm));
    let longer = example("[[producers]]\ntopic = \"orders\"\nduring = \"storm\"\nstarts = \"1s\"\nfor = \"12s\"\n");
    assert_eq!(longer.length(), Duration::from_secs(21));
}

#[test]
fn a_fault_that_names_a_phase_and_no_time_begins_with_it() {
    let scenario = example("[[producers]]\ntopic = \"orders\"\n[[faults]]\nduring = \"storm\"\ncrash = \"broker 1\"\n");
    assert_eq!(scenario.faults[0].when, When::At(Range::default()));
    assert_eq!(scenario.faults[0].during.as_deref(), Some("storm"));
}
