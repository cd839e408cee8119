//! Every byte format against the bytes of others, against itself, and against garbage.

mod common;
mod cookies;
mod facts;
mod frames;
mod golden;
mod hostile;
mod pages;
mod records;
mod round_trip;
mod updates;
