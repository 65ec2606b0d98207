//! Each parser is shown its seeds and thousands of changes to them: it may refuse all, and panics at none. What cargo-fuzz looks
//! for with more patience, on any compiler.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{PARSERS, Parser};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Changed inputs for each parser.
const ROUNDS: usize = 20_000;
/// Longer seeds are cut, so that every round is short.
const SEED_BYTES_MAX: usize = 8 << 10;
/// Bytes that parsers are most likely to stumble over.
const ODD: &[u8] = &[0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b'[', b'{', b'=', b'.', b'-', b'9'];

/// The files in a folder and its folders, but for source code.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs") || path.ends_with("Cargo.toml");
        match path.is_dir() {
            true => files(&path, found),
            false if !is_source => found.push(path),
            false => {}
        }
    }
    found.sort();
}

fn seeds(parser: &Parser) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(parser.seeds), &mut found);
    #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
    let read = |path: &PathBuf| std::fs::read(path).unwrap();
    found.iter().map(read).collect()
}

fn below(chance: &mut ChaCha8Rng, bound: usize) -> usize {
    (chance.next_u64() % bound.max(1) as u64) as usize
}

/// One change: a byte, a stretch that goes, comes twice or comes from elsewhere, or an end that is missing.
fn change(bytes: &mut Vec<u8>, other: &[u8], chance: &mut ChaCha8Rng) {
    let at = below(chance, bytes.len());
    let until = (at + 1 + below(chance, 16)).min(bytes.len());
    match below(chance, 8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << below(chance, 8),
        1 if at < bytes.len() => bytes[at] = ODD[below(chance, ODD.len())],
        2 => bytes.insert(at, ODD[below(chance, ODD.len())]),
        3 => drop(bytes.drain(at.min(until)..until)),
        4 => {
            let stretch = bytes[at.min(until)..until].to_vec();
            bytes.splice(at..at, stretch);
        }
        5 => {
            let from = below(chance, other.len());
            let stretch = other[from..(from + below(chance, 64)).min(other.len())].to_vec();
            bytes.splice(at..at, stretch);
        }
        6 => bytes.truncate(at),
        _ => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
    }
}

#[test]
fn no_change_to_any_seed_makes_a_parser_panic() {
    for parser in PARSERS {
        let seeds = seeds(parser);
        assert!(!seeds.is_empty(), "{} has seeds", parser.name);
        for seed in &seeds {
            show(parser, seed);
        }
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..ROUNDS {
            let mut bytes = seeds[below(&mut chance, seeds.len())].clone();
            bytes.truncate(SEED_BYTES_MAX);
            let other = &seeds[below(&mut chance, seeds.len())];
            for _ in 0..=below(&mut chance, 4) {
                change(&mut bytes, other, &mut chance);
            }
            show(parser, &bytes);
        }
    }
}

fn show(parser: &Parser, bytes: &[u8]) {
    let shown = catch_unwind(|| (parser.parse)(bytes));
    assert!(shown.is_ok(), "{} panics at \"{}\"", parser.name, bytes.escape_ascii());
}

#[test]
fn every_parser_has_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let targets = std::fs::read_dir(folder.join("fuzz_targets")).unwrap();
    let name = |target: std::fs::DirEntry| target.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let names: BTreeSet<String> = targets.map(|target| name(target.unwrap())).collect();
    assert_eq!(names, PARSERS.iter().map(|parser| parser.name.to_owned()).collect());
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is in the manifest");
    }
}
