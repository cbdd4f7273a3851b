//! Which crate may depend on which: ARCHITECTURE.md, "The rooms".

/// From the top down; a crate depends on those behind it alone.
const ROOMS: [&str; 13] = [
    "underseal-cli",
    "underseal-proxy",
    "underseal-server",
    "underseal",
    "underseal-quic",
    "underseal-dtls",
    "underseal-policy",
    "underseal-message",
    "underseal-http",
    "underseal-preload",
    "underseal-ulp",
    "underseal-record",
    "underseal-sys",
];

/// The rooms that the manifest of `room` depends on and must not, tests aside.
pub(super) fn upwards<'m>(room: &str, manifest: &'m str) -> Vec<&'m str> {
    let Some(place) = ROOMS.iter().position(|known| *known == room) else {
        return Vec::new();
    };
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]");
    let names = lines
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| ROOMS[..=place].contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_point_down() {
        let manifest = "[dependencies]\nunderseal-proxy.workspace = true\n\
                        underseal-http = { path = \"x\" }\n\n[dev-dependencies]\n\
                        underseal-cli.workspace = true\n";
        assert_eq!(upwards("underseal-server", manifest), ["underseal-proxy"]);
        assert!(upwards("underseal-cli", manifest).is_empty());
        assert!(upwards("xtask", manifest).is_empty());
    }
}
