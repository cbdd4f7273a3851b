//! `underseal policy convert`.

use underseal_policy::{ConvertOptions, PolicyFile, convert, to_yaml};

use super::arguments::ConvertArgs;
use super::{check, print, read};
use crate::exit::{Exit, Failure, say};

/// Prints the policies of the file in underseal's words, and on stderr what they compare
/// differently.
///
/// # Errors
/// [`Exit::Policy`] when the file cannot be read, or says something that cannot be said exactly;
/// then nothing is printed but the errors.
pub(super) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let options = ConvertOptions {
        trust_domain: args.trust_domain.clone(),
    };
    for file in read(std::slice::from_ref(&args.file))? {
        let policy_file = PolicyFile {
            name: &file.name,
            text: &file.text,
        };
        let converted = convert(&policy_file, &options).map_err(|errors| {
            say(&errors.iter().map(check::text).collect::<String>());
            Failure::new(
                Exit::Policy,
                format!("{}, nothing is converted", check::errors(errors.len())),
                "what cannot be said exactly is refused; write that part by hand",
            )
        })?;
        for note in &converted.notes {
            let (line, column) = (note.place.line, note.place.column);
            say(&format!(
                "note: {}:{line}:{column}: {}: {}\n",
                file.name, note.path, note.message
            ));
        }
        print(&to_yaml(&converted.policies))?;
    }
    Ok(())
}
