//! What applications do: points that come and go, addresses that are learnt late, both roles in
//! one swarm.

mod both_roles;
mod changes;
mod late_address;
mod only_finding;
mod restart;
