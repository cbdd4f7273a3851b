//! What the operators' page says of metrics.

/// Checks that it names `protocol` at every metric that has counted something, in the text of `/metrics`.
pub(crate) fn check(metrics: &str, protocol: &str) {
    let page = include_str!("../../../../docs/proxy.md");
    let counted = metrics.lines().filter(|line| {
        let value = line.rsplit(' ').next().unwrap_or_default();
        line.starts_with("underseal_") && value.parse::<f64>().is_ok_and(|value| value > 0.0)
    });
    let mut seen = 0;
    for line in counted {
        // Parts of a histogram.
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        let row = page
            .lines()
            .find(|row| row.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {line}"));
        let protocols = row.split('|').nth(3).expect("a third cell");
        assert!(
            protocols.contains(&format!("`{protocol}`")),
            "{line}, with {protocol}"
        );
        seen += 1;
    }
    assert!(seen > 0, "nothing is counted: {metrics}");
}
