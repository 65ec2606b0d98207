//! A scenario file: what is read is written, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scenarios::Scenario;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(scenario) = Scenario::parse("fuzz.toml", text) {
        let written = scenario.to_toml();
        assert_eq!(Scenario::parse("fuzz.toml", &written).as_ref().ok(), Some(&scenario), "{written}");
    }
});
