//! The fuzz target of `fuzz/` on the stable toolchain, for a bounded number of bodies: the corpus, broken at random.

use std::fs;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[path = "../../fuzz/payload.rs"]
mod payload;

const BODIES: usize = 20_000;
/// What a reader may trip over.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"-0001-01-01T00:00:00Z",
    b"9999-12-31T23:59:59.999999999Z",
    b"1e999",
    b"\"firing\"",
    b"{\"a\":{}}",
];

#[test]
fn whatever_comes_is_read_or_refused() {
    let corpus: Vec<Vec<u8>> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(corpus.len() >= 3);
    corpus.iter().for_each(|body| payload::target(body));
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..BODIES {
        let mut body = corpus[rng.random_range(0..corpus.len())].clone();
        for _ in 0..rng.random_range(1..5) {
            let at = rng.random_range(0..body.len());
            match rng.random_range(0..4) {
                0 => body[at] = rng.random(),
                1 => drop(body.drain(at..(at + rng.random_range(1..40)).min(body.len()))),
                2 => drop(body.splice(at..at, WORDS[rng.random_range(0..WORDS.len())].iter().copied())),
                _ => {
                    let other = &corpus[rng.random_range(0..corpus.len())];
                    let from = rng.random_range(0..other.len());
                    let to = (from + rng.random_range(1..200)).min(other.len());
                    body.splice(at..at, other[from..to].iter().copied());
                }
            }
            if body.is_empty() {
                break;
            }
        }
        payload::target(&body);
    }
}
