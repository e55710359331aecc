//! docs/lvs.cf.md is the reference that the key table gives.

use std::path::Path;

use caribe_config::keys::KEYS;
use caribe_config::{FixedResolver, Mode, Source, parse, reference};

#[test]
fn the_reference_in_the_manual_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lvs.cf.md");
    if std::env::var_os("CARIBE_REFRESH").is_some() {
        std::fs::write(&path, reference()).expect("docs/lvs.cf.md is writable");
    }
    let page = std::fs::read_to_string(&path).expect("docs/lvs.cf.md is there");
    assert!(
        page == reference(),
        "docs/lvs.cf.md is stale: CARIBE_REFRESH=1 cargo test -p caribe-config --test reference"
    );
}

#[test]
fn every_key_is_in_the_reference() {
    let page = reference();
    for key in KEYS {
        let row = format!("| `{}` | ", key.name);
        assert!(page.contains(&row), "{} is missing", key.name);
    }
}

#[test]
fn the_example_of_the_reference_is_legal() {
    let page = reference();
    let example = page.split("```").nth(1).expect("there is an example");
    let parsed = parse(
        &Source::new("example", example),
        Mode::Lenient,
        &FixedResolver::default(),
    );
    assert_eq!(parsed.diagnostics, []);
    assert!(parsed.config.is_some());
}
