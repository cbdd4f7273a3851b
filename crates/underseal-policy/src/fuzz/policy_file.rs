//! Whole files of policies.

use crate::model::Direction;
use crate::{Connection, ConvertOptions, Labels, Matcher, PolicyFile, convert, load, to_yaml};

/// Loads and converts arbitrary text: what loads can be compiled, decided by, and written down and
/// loaded again as the same.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let file = PolicyFile { name: "", text };
    if let Ok(policies) = load(&[file], &[]) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let matcher = Matcher::new(&policies, &Labels::new(), direction);
            let matcher = matcher.expect("what loads compiles");
            let connection = Connection::default();
            assert_eq!(
                matcher.explain(&connection, None).decision,
                matcher.decide(&connection, None)
            );
        }
        let yaml = to_yaml(&policies);
        let again = load(
            &[PolicyFile {
                name: "",
                text: &yaml,
            }],
            &[],
        );
        assert_eq!(again, Ok(policies), "{yaml}");
    }
    if let Ok(converted) = convert(&file, &ConvertOptions::default()) {
        let faults = converted
            .policies
            .iter()
            .flat_map(|policy| crate::validate::faults(policy, &[]));
        assert_eq!(faults.count(), 0);
    }
}
