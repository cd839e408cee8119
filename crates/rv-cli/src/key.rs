//! `rv key`: identity files.

use rv_server::daemon::{create_identity, load_identity};

use crate::args::KeyArgs;
use crate::failure::{Exit, Failure};
use crate::output;

/// Makes or shows an identity, and prints its peer id.
pub(crate) fn run(args: KeyArgs) -> Result<(), Failure> {
    let (keypair, json) = match args {
        KeyArgs::New { file, json } => (create_identity(&file)?, json),
        KeyArgs::Show { file, json } => (load_identity(&file)?, json),
    };
    let peer_id = keypair.public().to_peer_id();
    let printed = if json {
        // A peer id is base58: nothing in it needs to be escaped.
        output::line(format_args!("{{\"peer_id\":\"{peer_id}\"}}"))
    } else {
        output::line(peer_id)
    };
    printed.map_err(|error| Failure::new(Exit::Internal, error))
}
