//! The driver, on a clock that only the test moves: nothing here sleeps.

mod crawls;
mod loops;
mod refreshes;
mod stage;
mod tables;
mod walks;
