//! The walk, against networks in memory: each test says what is true of it.

mod admission;
mod bad_input;
mod budgets;
mod checks;
mod lookups;
mod rounds;
mod seeding;
mod size;
mod table;
mod targets;
mod world;
