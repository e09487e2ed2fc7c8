//! The config reference is generated; this test compares it, or rewrites it with `UPDATE_DOCS=1`.

#[test]
fn the_config_reference_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let page = devenv::config::reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/config.md is stale: UPDATE_DOCS=1 cargo test --test docs_config");
}
