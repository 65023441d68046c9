//! `ringside events` without a packager.

use crate::process::ringside;

#[test]
fn an_empty_data_dir_has_no_events_and_an_unknown_one_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let events = |arguments: &[&str]| {
        let mut command = ringside(&["events"]);
        command.args(arguments);
        command.args(["--set", &format!("data.dir={}", dir.path().display())]);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(events(&["list"]).1, "no events are kept\n");
    assert_eq!(events(&["list", "--json"]).1, "[]\n");
    for unknown in ["show", "delete"] {
        let (code, _, said) = events(&[unknown, "main", "7"]);
        assert!(
            code == Some(1) && said.contains("no event 7 of stream main"),
            "{said}"
        );
    }
    assert_eq!(events(&["show", "no stream", "7"]).0, Some(64));
}
